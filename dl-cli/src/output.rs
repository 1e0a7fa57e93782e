//! Text enters, text on the terminal leaves; the one place that writes there.
//!
//! Results go to standard output, everything about mistakes to standard error. A reader that goes away early
//! (`dln expand x.dln | head`) is no error. Colours are for terminals only, and not where the variable `NO_COLOR` asks
//! for none: the streams leave them out.

use dl_compiler::Failure;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Writes to standard output, with a line end at the end of the last line.
pub(crate) fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(end.as_bytes()));
    match written.and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            message(&format!("cannot write to standard output: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Shows all mistakes on standard error.
pub(crate) fn failure(failure: &Failure) -> ExitCode {
    complain(dl_grammar::render(&failure.sources, &failure.diagnostics, true).trim_end());
    ExitCode::FAILURE
}

/// Shows a line on standard error.
pub(crate) fn message(text: &str) {
    complain(&format!("error: {text}"));
}

/// Shows lines on standard error that are no mistake of their own.
pub(crate) fn note(text: &str) {
    complain(text);
}

fn complain(text: &str) {
    // With standard error gone there is nobody left to tell; the exit code remains.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}
