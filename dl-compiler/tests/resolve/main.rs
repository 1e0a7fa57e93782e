//! Tests of resolve: sound programs, mistakes, and what a hostile program can do.

mod composition;
mod hostile;
mod mistakes;
mod programs;
mod support;
