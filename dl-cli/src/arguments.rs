//! What can be typed: commands, their arguments, and the texts of `--help`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand, ValueEnum};

/// A compiler for neural networks: a description becomes readable, statically shaped Rust.
#[derive(Debug, Parser)]
#[command(name = "dln", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 all went well, 1 a file cannot be read or has mistakes, 2 wrong usage.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For tools: one JSON object a line, on standard output
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what is wrong with the files, or that nothing is
    Check {
        /// The .dln files, and folders to search for them
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// How results are written
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Write files in the one form that programs are written in
    Fmt {
        /// The .dln files, and folders to search for them; `-` formats standard input to standard output
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
        /// Change nothing, and fail if a file is not formatted
        #[arg(long)]
        check: bool,
    },
    /// Print the Rust code that a file becomes, or what an earlier stage makes of it
    Expand {
        /// The .dln file
        file: PathBuf,
        /// The stage, in the order of the compiler
        #[arg(long, value_name = "NAME", default_value = "rust", value_parser = PossibleValuesParser::new(dl_compiler::STAGES))]
        stage: String,
        /// The path by which the code reaches its runtime
        #[arg(long, value_name = "PATH", default_value = "::dln::runtime", value_parser = runtime)]
        runtime: String,
    },
    /// Print the layers as a tree: output shape, parameters, FLOPs and bytes
    Summary {
        /// The .dln file
        file: PathBuf,
        /// Show what lies where in the arena, and when, instead
        #[arg(long)]
        memory: bool,
        /// How results are written
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Draw a network: layers with shapes and parameters, and how data flows
    Graph {
        /// The .dln file
        file: PathBuf,
        /// The file to write: .dot, or .svg, .png or .pdf through Graphviz; without it, DOT goes to standard output
        #[arg(short, long, value_name = "FILE", value_parser = picture)]
        output: Option<PathBuf>,
        /// The network, if the file has several
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
    },
    /// Explain an error: its cause, an example, what to do
    Explain {
        /// The number, such as E0301; without it, all numbers and titles are listed
        #[arg(value_name = "CODE", value_parser = code)]
        code: Option<dl_grammar::Code>,
    },
    /// Make a crate with a network that trains
    New {
        /// The folder to make; its name becomes the crate's
        #[arg(value_name = "NAME")]
        folder: PathBuf,
        /// Where the source of dln is, as seen from the new folder
        #[arg(long, value_name = "PATH", default_value = "../dln")]
        dln: PathBuf,
    },
    /// Print a script that completes commands and options in a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

fn runtime(text: &str) -> Result<String, &'static str> {
    if dl_build::is_path(text) { Ok(text.to_owned()) } else { Err("expected a path such as `::dln::runtime`") }
}

fn picture(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match crate::commands::picture_kind(&path) {
        Some(_) => Ok(path),
        None => Err("expected a name that ends in .dot, .svg, .png or .pdf".to_owned()),
    }
}

fn code(text: &str) -> Result<dl_grammar::Code, String> {
    let number = |text: &str| text.trim_start_matches(['E', 'e']).parse::<u16>().ok();
    let found = dl_grammar::Code::ALL.iter().find(|code| number(code.number()) == number(text)).copied();
    found.ok_or_else(|| "no error has this number; `dln explain` lists all".to_owned())
}
