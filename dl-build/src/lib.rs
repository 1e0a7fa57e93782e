//! Compiles `.dln` files from a build script: a file enters, Rust source in `$OUT_DIR` leaves.
//!
//! ```no_run
//! // All that `main` of build.rs has to do:
//! dl_build::compile("nets/lenet.dln");
//! ```
//!
//! The crate then includes what was written:
//!
//! ```text
//! dln::include_compiled!("lenet");   // include!(concat!(env!("OUT_DIR"), "/lenet.rs"))
//! ```
//!
//! What the file means is the compiler's business. The other front doors read their files through [`read`], so
//! that an unreadable file is the same numbered error everywhere.

mod read;

pub use read::{is_path, loader, read};

use dl_compiler::Options;
use std::path::{Path, PathBuf};

/// Compiles `path`, relative to the folder of the package's `Cargo.toml`, to `$OUT_DIR/<file stem>.rs`, and asks
/// Cargo to run the build script again when the file, or one that it imports, changes.
///
/// If that fails, prints why, with file, line, column and the line itself, and ends the build script with exit
/// code 1. [`Build`] offers more choice.
pub fn compile(path: impl Into<PathBuf>) {
    if let Err(error) = try_compile(path) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

/// Like [`compile`], but hands over the error, or the path of what was written.
///
/// # Errors
/// See [`BuildError`].
pub fn try_compile(path: impl Into<PathBuf>) -> Result<PathBuf, BuildError> {
    Build::new(path).compile()
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The file cannot be read or has mistakes. `rendered` shows all of them, each at its place.
    #[error("{rendered}")]
    Program {
        /// The mistakes as text in the manner of rustc.
        rendered: String,
        /// The mistakes as data.
        diagnostics: Vec<dl_grammar::Diagnostic>,
    },
    /// Cargo sets this variable for build scripts, and for nothing else.
    #[error("the environment variable `{0}` is not set: dl-build runs in a build script, or with all folders named")]
    NotInBuildScript(&'static str),
    /// The path of the runtime is not one.
    #[error("expected the path of the runtime, such as `::dln::runtime`, found `{0}`")]
    BadRuntimePath(String),
    /// The generated code cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file that was to be written.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// The compilation of one file, where the defaults of [`compile`] do not fit.
#[derive(Debug, Clone)]
pub struct Build {
    path: PathBuf,
    manifest: Option<PathBuf>,
    out: Option<PathBuf>,
    name: Option<String>,
    options: Options,
}

impl Build {
    /// The compilation of `path` with the defaults of [`compile`].
    pub fn new(path: impl Into<PathBuf>) -> Build {
        Build { path: path.into(), manifest: None, out: None, name: None, options: Options::default() }
    }

    /// The path by which the generated code reaches the runtime, `::dln::runtime` by default: for a crate that
    /// depends on dln under another name.
    pub fn runtime(mut self, path: impl Into<String>) -> Build {
        self.options.runtime = path.into();
        self
    }

    /// The name of what is written, without `.rs`; the stem of the file's name by default. Two files of one stem
    /// need two names.
    pub fn name(mut self, name: impl Into<String>) -> Build {
        self.name = Some(name.into());
        self
    }

    /// The folder that a relative path starts from, `$CARGO_MANIFEST_DIR` by default.
    pub fn relative_to(mut self, folder: impl Into<PathBuf>) -> Build {
        self.manifest = Some(folder.into());
        self
    }

    /// The folder to write to, `$OUT_DIR` by default.
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Build {
        self.out = Some(folder.into());
        self
    }

    /// Compiles the file and returns the path of what was written.
    ///
    /// # Errors
    /// See [`BuildError`]. Nothing is written then.
    pub fn compile(self) -> Result<PathBuf, BuildError> {
        let manifest = folder(self.manifest, "CARGO_MANIFEST_DIR")?;
        let out = folder(self.out, "OUT_DIR")?;
        if !is_path(&self.options.runtime) {
            return Err(BuildError::BadRuntimePath(self.options.runtime));
        }
        let full = manifest.join(&self.path);
        // Also when what follows fails: mending the file has to run the build script again.
        println!("cargo::rerun-if-changed={}", full.display());

        let name = self.path.to_string_lossy();
        let options = Options { loader: Some(loader(&manifest, name.as_ref())), ..self.options };
        let compiled = read(&full, &name).and_then(|source| dl_compiler::compile(source, &options));
        let inputs = match &compiled {
            Ok(compiled) => &compiled.inputs,
            Err(failure) => &failure.imports.inputs,
        };
        for input in inputs {
            println!("cargo::rerun-if-changed={}", manifest.join(input).display());
        }
        let text = compiled
            .map_err(|failure| BuildError::Program {
                rendered: dl_grammar::render(&failure.sources, &failure.diagnostics, false),
                diagnostics: failure.diagnostics,
            })?
            .text();

        let stem = self.name.map(PathBuf::from).or_else(|| self.path.file_stem().map(PathBuf::from));
        let mut target = out.join(stem.unwrap_or_else(|| PathBuf::from("network")));
        target.as_mut_os_string().push(".rs");
        write(&target, &text)?;
        Ok(target)
    }
}

fn folder(chosen: Option<PathBuf>, variable: &'static str) -> Result<PathBuf, BuildError> {
    chosen.or_else(|| std::env::var_os(variable).map(PathBuf::from)).ok_or(BuildError::NotInBuildScript(variable))
}

fn write(path: &Path, text: &str) -> Result<(), BuildError> {
    std::fs::write(path, text).map_err(|source| BuildError::Write { path: path.to_path_buf(), source })
}
