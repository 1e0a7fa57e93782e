//! Text enters, text on the terminal leaves; the one place that writes.
//!
//! A reader that goes away early (`dln expand x.dln | head`) is no error. Colours are for terminals only, and not
//! where the variable `NO_COLOR` asks for none.

use dl_compiler::Failure;
use std::io::{ErrorKind, IsTerminal, Write};
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
    let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = dl_grammar::render(&failure.sources, &failure.diagnostics, color);
    complain(text.trim_end());
    ExitCode::FAILURE
}

/// Shows a line on standard error.
pub(crate) fn message(text: &str) {
    complain(&format!("error: {text}"));
}

fn complain(text: &str) {
    // With standard error gone there is nobody left to tell; the exit code remains.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
