//! What tests of data share: where real data may lie.

use std::path::{Path, PathBuf};

/// The folder of that name beside the workspace, in `shared/data`; if it is absent the test says so and ends.
pub(crate) fn shared(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("skipped: {} is absent", folder.display());
        None
    }
}
