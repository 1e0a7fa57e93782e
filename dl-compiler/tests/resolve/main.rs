//! Tests of resolve: sound programs, mistakes, and what a hostile program can do.

mod axes;
mod composition;
mod hostile;
mod library;
mod mistakes;
mod programs;
mod support;
mod volumes;
