//! Compiled networks with running statistics, dropout and several losses: resumed anywhere, they end with the same bits.

use std::fs;

use dl_train::{Checkpoint, CheckpointError, Freeze, ModelCheckpoint, Progress, TrainError, Trained, Trainer};
use dln::runtime::{Network, Rng, Tensors};
use training::{Blobs, Gan, Wider, blobs, gan, wider};

fn bits<N: Network>(trained: &Trained<N>) -> (Vec<u32>, Vec<u64>) {
    let tensors = trained.parameters.as_slice().iter().chain(trained.state.as_slice());
    let losses = trained.history.epochs.iter().flat_map(|record| [record.train.loss, record.validation.loss]);
    (tensors.map(|x| x.to_bits()).collect(), losses.map(f64::to_bits).collect())
}

/// Resumes a run from every one of its steps, with one thread and with three.
fn everywhere<N: Network>(trainer: &Trainer<N>, train: &N::Examples, validation: &N::Examples, steps: usize) {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = ModelCheckpoint::new(folder.path()).every_steps(1).keep(usize::MAX).best(None);
    let expected = bits(&trainer.clone().callback(checkpoints).fit(train, validation).unwrap());
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), steps);
    for (number, file) in files.iter().enumerate() {
        let threads = if number % 2 == 0 { 1 } else { 3 };
        let resumed = trainer.clone().threads(threads).resume(file, train, validation).unwrap();
        assert!(bits(&resumed) == expected, "{} of {}", file.display(), N::NAME);
    }
}

#[test]
fn statistics_dropout_and_moments_go_on() {
    let trainer = Trainer::<Blobs>::new().epochs(4).patience(Some(2)).progress(Progress::Silent);
    let trainer = trainer.callback(Freeze::new("logits.hidden.*").from_epoch(2).until_epoch(3));
    everywhere(&trainer, &blobs(1, 50), &blobs(2, 20), 4 * 4);
}

#[test]
fn several_optimizers_go_on() {
    let mut rng = Rng::new(1);
    let mut number = || rng.next_u32() as f32 / u32::MAX as f32 - 0.5;
    let mut examples = gan::Examples::default();
    for _ in 0..40 {
        examples.noise.push(std::array::from_fn(|_| number()));
        examples.real.push(std::array::from_fn(|_| number() + 1.0));
    }
    let trainer = Trainer::<Gan>::new().epochs(3).batch(16).progress(Progress::Silent);
    everywhere(&trainer, &examples, &examples, 9);
}

/// What is frozen at an epoch keeps its bits, as part of one optimizer among several too.
#[test]
fn a_frozen_part_keeps_its_bits() {
    let examples = gan::Examples { noise: vec![[0.1, -0.2, 0.3]; 8], real: vec![[1.0, 2.0, 3.0, 4.0]; 8] };
    let trainer = Trainer::<Gan>::new().epochs(2).batch(8).progress(Progress::Silent);
    let (start, _) = Gan::initialize(0);
    let trained = trainer.callback(Freeze::new("made.second.*")).fit(&examples, &examples).unwrap();
    for info in gan::Parameters::TENSORS {
        let same = trained.parameters.tensor(info.name) == start.tensor(info.name);
        assert_eq!(same, info.name.starts_with("made.second."), "{}", info.name);
    }
}

#[test]
fn another_network_says_how_it_differs_and_takes_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blobs.safetensors");
    let trained = Trainer::<Blobs>::new().progress(Progress::Silent).fit(&blobs(1, 50), &blobs(2, 20)).unwrap();
    trained.save(&file).unwrap();
    let checkpoint = Checkpoint::open(&file).unwrap();
    let error = checkpoint.load::<Wider>().unwrap_err();
    let CheckpointError::Differs { difference, .. } = &error else { panic!("{error}") };
    let missing: Vec<&str> = difference.missing.iter().map(|(name, _)| *name).collect();
    assert_eq!(missing, ["logits.between.weight", "logits.between.bias"]);
    let shapes: Vec<_> =
        difference.shapes.iter().map(|(name, expected, found)| (*name, *expected, found.as_slice())).collect();
    assert_eq!(
        shapes,
        [
            ("logits.hidden.weight", &[4, 24][..], &[4, 16][..]),
            ("logits.hidden.bias", &[24], &[16]),
            ("logits.last.weight", &[8, 3], &[16, 3])
        ]
    );
    assert!(!difference.extra.is_empty() && !difference.definition, "{difference}");

    let (mut parameters, mut state) = Wider::initialize(3);
    let before = parameters.clone();
    let matched = checkpoint.load_matching::<Wider>(&mut parameters, &mut state).unwrap();
    assert_eq!(matched.taken, ["logits.last.bias"]);
    assert_eq!(parameters.logits_last_bias(), trained.parameters.logits_last_bias());
    assert_eq!(parameters.logits_hidden_weight(), before.logits_hidden_weight());

    let (read, _) = checkpoint.load::<Blobs>().unwrap();
    assert_eq!(read.as_slice(), trained.parameters.as_slice());
    assert!(checkpoint.source().contains("network Blobs"), "{}", checkpoint.source());
    let resumed = Trainer::<Wider>::new().resume(&file, &wider::Examples::default(), &wider::Examples::default());
    assert!(matches!(resumed, Err(TrainError::NoExamples { .. })));
}

/// Outputs of many batches are those of one, labels are not needed, and an input out of range is named.
#[test]
fn predictions_are_those_of_inference() {
    let examples = blobs(3, 37);
    let (parameters, state) = Wider::initialize(1);
    let inputs = wider::Examples { point: examples.point.clone(), ..Default::default() };
    let mut workspace = wider::Workspace::new(37);
    let prepared = parameters.prepare(&state);
    let outputs = wider::forward(&prepared, &mut workspace, &inputs.point).unwrap();
    for batch in [1, 5, 37, usize::MAX] {
        let predicted = Trainer::<Wider>::new().batch(batch).predict(&parameters, &state, &inputs).unwrap();
        assert_eq!(predicted.probabilities, outputs.probabilities);
        assert_eq!(predicted.scores, outputs.scores);
    }
    let none = dl_train::predict::<Wider>(&parameters, &state, &wider::Examples::default()).unwrap();
    assert!(none.scores.is_empty());
}
