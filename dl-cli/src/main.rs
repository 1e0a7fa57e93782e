//! The command `dln`: arguments enter, text on standard output and an exit code leave.
//!
//! A thin shell: files are read by dl-build and compiled by dl-compiler; here they are only shown. Exit code 0 means
//! that all went well, 1 that a file cannot be read or has mistakes (shown on standard error), 2 that the command
//! was called wrongly.

mod arguments;
mod commands;
mod drawing;
mod files;
mod json;
mod memory;
mod output;
mod tree;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { paths, format } => commands::check(&paths, format),
        Command::Fmt { paths, check } => commands::fmt(&paths, check),
        Command::Expand { file, stage, runtime } => commands::expand(&file, &stage, runtime),
        Command::Summary { file, memory, format } => commands::summary(&file, memory, format),
        Command::Graph { file, output, network } => commands::graph(&file, output.as_deref(), network.as_deref()),
        Command::Explain { code } => commands::explain(code),
        Command::New { folder, dln } => commands::new(&folder, &dln),
        Command::Completions { shell } => commands::completions(shell),
    }
}
