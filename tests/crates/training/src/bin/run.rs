//! A training that is interrupted by the tests: `run FOLDER EPOCHS [interrupt FILE]` trains, writing a checkpoint after
//! every step, and goes on from the newest one.
//!
//! At the end it writes the bits of what it has learned to standard output.

use std::path::PathBuf;

use dl_train::{ModelCheckpoint, Progress, TrainError, Trainer};
use dln::runtime::Tensors;
use training::{Blobs, blobs};

fn main() -> Result<(), TrainError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, epochs, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: run FOLDER EPOCHS [interrupt FILE]");
        std::process::exit(2);
    };
    let folder = PathBuf::from(folder);
    let mut trainer = Trainer::<Blobs>::new()
        .seed(5)
        .epochs(epochs.parse().unwrap_or(1))
        .patience(Some(100))
        .progress(Progress::Silent)
        .callback(ModelCheckpoint::new(&folder).every_steps(1).keep(2));
    if let [_, file] = rest {
        trainer = trainer.save_on_interrupt(file);
        // The test waits for this before it interrupts.
        println!("ready");
    }
    let trained = trainer.fit_or_resume(&folder, &blobs(1, 100), &blobs(2, 30))?;
    let all = trained.parameters.as_slice().iter().chain(trained.state.as_slice());
    let bits: Vec<String> = all.map(|x| format!("{:08x}", x.to_bits())).collect();
    println!("{:?} {} {}", trained.end, trained.history.epochs.len(), bits.join(" "));
    Ok(())
}
