//! The command `dln`: arguments enter, text on standard output and an exit code leave.
//!
//! A thin shell: files are read by dl-build and compiled by dl-compiler; here they are only shown. Exit code 0 means
//! that all went well, 1 that a file cannot be read or has mistakes (shown on standard error), 2 that the command
//! was called wrongly.

mod commands;
mod output;
mod table;

use clap::{Parser, Subcommand, builder::PossibleValuesParser};
use std::path::PathBuf;
use std::process::ExitCode;

/// A compiler for neural networks: a description becomes readable, statically shaped Rust.
#[derive(Debug, Parser)]
#[command(name = "dln", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 all went well, 1 a file cannot be read or has mistakes, 2 wrong usage.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what is wrong with the files, or that nothing is
    Check {
        /// The .dln files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Print the Rust code that a file becomes
    Expand {
        /// The .dln file
        file: PathBuf,
        /// The path by which the code reaches its runtime
        #[arg(long, value_name = "PATH", default_value = "::dln::runtime", value_parser = runtime)]
        runtime: String,
    },
    /// Print a table of layers: output shape, parameters, FLOPs and bytes
    Summary {
        /// The .dln file
        file: PathBuf,
    },
    /// Print what one stage of the compiler makes of a file
    Dump {
        /// The stage, in the order of the compiler
        #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(dl_compiler::STAGES))]
        stage: String,
        /// The .dln file
        file: PathBuf,
    },
}

fn runtime(text: &str) -> Result<String, &'static str> {
    if dl_build::is_path(text) { Ok(text.to_owned()) } else { Err("expected a path such as `::dln::runtime`") }
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Check { files } => commands::check(&files),
        Command::Expand { file, runtime } => commands::expand(&file, runtime),
        Command::Summary { file } => commands::summary(&file),
        Command::Dump { stage, file } => commands::dump(&file, &stage),
    }
}
