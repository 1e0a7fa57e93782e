//! Ctrl-C and the system's wish to end: the first is noted for the runs that look, a second one ends the process.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::TrainError;

static RUNS: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicBool = AtomicBool::new(false);

/// A run that looks. While there is none, Ctrl-C ends the process as ever.
pub(crate) struct Listener(());

impl Listener {
    /// Notes Ctrl-C (and SIGTERM) from now on.
    pub(crate) fn new() -> Result<Self, TrainError> {
        static HANDLER: OnceLock<Result<(), String>> = OnceLock::new();
        let set = HANDLER.get_or_init(|| ctrlc::set_handler(handle).map_err(|error| error.to_string()));
        set.clone().map_err(|reason| TrainError::Interrupt { reason })?;
        RUNS.fetch_add(1, Ordering::SeqCst);
        Ok(Self(()))
    }

    /// Whether the end was asked for.
    pub(crate) fn asked(&self) -> bool {
        ASKED.load(Ordering::Relaxed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        RUNS.fetch_sub(1, Ordering::SeqCst);
    }
}

fn handle() {
    if RUNS.load(Ordering::SeqCst) == 0 || ASKED.swap(true, Ordering::SeqCst) {
        // As a shell reports a process that Ctrl-C ended.
        std::process::exit(130);
    }
}
