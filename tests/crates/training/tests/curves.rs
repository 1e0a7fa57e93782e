//! The loss curves of PyTorch: the same networks, parameters, data and optimizers give the same losses, step by step.
//!
//! `curves/curves.py` trained the networks there and stored what is compared with here. Each is trained by the
//! [`Trainer`], as users train: an epoch is one batch, so the history is the loss of each step before its update.

use std::path::{Path, PathBuf};

use dl_train::data::{DataError, Dataset, read_npz};
use dl_train::{Progress, Trainer};
use dln::runtime::{Adam, AdamW, Clip, Examples, Network, Options, Rule, Schedule, Sgd, Tensors};

dln::network! {
    /// Two hidden layers, trained by Adam.
    network Perceptron {
        input image: [1, 8, 8];
        label digit: index(10);
        logits = image |> flatten |> dense(32) |> tanh |> dense(16) |> relu |> dense(10);
        output probabilities = softmax(logits);
        loss cross_entropy(logits, digit);
        train { optimizer: adam(learning_rate: 0.005), batch: 32, epochs: 50 }
    }
}

dln::network! {
    /// Convolutions and batch normalization, trained by gradient descent with momentum and weight decay.
    network Convolutional {
        input image: [1, 8, 8];
        label digit: index(10);
        features = image
            |> conv2d(8, kernel: 3, padding: 1, bias: false) |> batch_norm |> relu |> max_pool2d(2)
            |> conv2d(16, kernel: 3, padding: 1) |> batch_norm |> relu |> max_pool2d(2);
        logits = features |> flatten |> dense(10);
        output probabilities = softmax(logits);
        loss cross_entropy(logits, digit);
        train { optimizer: sgd(learning_rate: 0.05, momentum: 0.9, weight_decay: 0.001), batch: 32, epochs: 50 }
    }
}

dln::network! {
    /// Long short-term memory over the rows of an image, its gradients clipped.
    network Recurrent {
        input image: [1, 8, 8];
        label digit: index(10);
        states: [time, units] = image |> reshape([8, 8]) |> lstm(24);
        logits = slice(states, 0, start: 7, len: 1) |> flatten |> dense(10);
        output probabilities = softmax(logits);
        loss cross_entropy(logits, digit);
        train {
            optimizer: sgd(learning_rate: 0.5, momentum: 0.9),
            clip: global_norm(0.5),
            batch: 32, epochs: 50
        }
    }
}

dln::network! {
    /// Attention among the rows of an image, trained by AdamW along half a cosine.
    network Attentive {
        input image: [1, 8, 8];
        label digit: index(10);
        rows = image |> reshape([8, 8]) |> dense(16);
        seen: [time, width] = rows |> block: transformer_block(4, hidden: 32) |> norm: layer_norm;
        logits = mean(seen, over: time) |> flatten |> dense(10);
        output probabilities = softmax(logits);
        loss cross_entropy(logits, digit);
        train {
            optimizer: adamw(learning_rate: 0.02, weight_decay: 0.1),
            schedule: cosine(epochs: 50),
            batch: 32, epochs: 50
        }
    }
}

dln::network! {
    /// Three-dimensional convolutions and pooling of an image seen as a volume of 4 planes of 4 rows, trained by Adam.
    network Volumetric {
        input image: [1, 8, 8];
        label digit: index(10);
        features = image |> reshape([1, 4, 4, 4])
            |> conv3d(6, kernel: 3, padding: 1) |> relu
            |> max_pool3d([3, 2, 2], stride: 1, padding: [1, 0, 0])
            |> conv3d(12, kernel: [3, 2, 2], stride: [2, 1, 1], padding: 1, dilation: [1, 1, 2], groups: 2) |> relu
            |> avg_pool3d([1, 2, 3]);
        logits = features |> flatten |> dense(10);
        output probabilities = softmax(logits);
        loss cross_entropy(logits, digit);
        train { optimizer: adam(learning_rate: 0.01), batch: 32, epochs: 50 }
    }
}

/// The file of a network, as `curves.py` wrote it.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("curves").join(format!("{name}.npz"))
}

/// One channel of 8 rows of 8 grey values, from 0 to 1.
type Image = [[[f32; 8]; 8]; 1];

/// The images and the digits they show.
fn digits(file: &Path) -> Result<(Vec<Image>, Vec<u32>), DataError> {
    let image = read_npz::<u8>(file, "image")?.map(|grey| f32::from(grey) / 16.0).examples()?;
    Ok((image, read_npz::<u8>(file, "digit")?.labels(10)?))
}

/// Another batch of the same examples in each epoch, one after another.
struct Batches<E>(E);

/// Examples in a batch, as in `curves.py`.
const BATCH: usize = 32;

impl<E: Examples> Dataset for Batches<E> {
    type Examples = E;

    fn len(&self) -> usize {
        BATCH
    }

    fn gather(&self, epoch: u64, positions: &[usize], into: &mut E) -> Result<(), DataError> {
        // Epochs count from 1; what is not of training is drawn as epoch 0.
        let first = epoch.saturating_sub(1) as usize * BATCH % self.0.len();
        let positions: Vec<usize> = positions.iter().map(|position| first + position).collect();
        Ok(into.extend(&self.0, &positions)?)
    }
}

/// The parameters that training began with in PyTorch.
fn parameters<N: Network>(file: &Path) -> N::Parameters {
    let mut parameters = N::Parameters::zeros();
    for info in N::Parameters::TENSORS {
        let array = read_npz::<f32>(file, info.name).unwrap();
        assert_eq!(array.dims(), info.dims, "{}", info.name);
        parameters.as_mut_slice()[info.offset..info.offset + info.len()].copy_from_slice(array.values());
    }
    parameters
}

/// The loss of each step, as trained here.
fn curve<N: Network>(file: &Path, examples: N::Examples, trainer: Trainer<N>) -> Vec<f64> {
    let batches = Batches(examples);
    let (_, state) = N::initialize(0);
    let trainer = trainer.start_from(parameters::<N>(file), state).progress(Progress::Silent);
    let trained = trainer.fit(&batches, &batches).unwrap();
    trained.history.epochs.iter().map(|record| record.train.loss).collect()
}

/// The largest relative difference of the losses of any step.
fn apart(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!((found.len(), expected.len()), (50, 50));
    let differences = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs() / expected);
    differences.fold(0.0, f64::max)
}

/// What a curve may differ by.
const TOLERANCE: f64 = 1e-4;

/// The network's own settings give the curves of PyTorch, in both precisions; `others`, which differ by a little,
/// give other curves.
fn agrees<N: Network>(name: &str, examples: impl Fn() -> N::Examples, others: Vec<(&str, Trainer<N>)>) {
    let file = file(name);
    let double = read_npz::<f64>(&file, "double").unwrap();
    let single = read_npz::<f32>(&file, "single").unwrap().map(f64::from);
    for threads in [1, 2] {
        let found = curve(&file, examples(), Trainer::<N>::new().threads(threads));
        assert!(found[49] < 0.6 * found[0], "{name} does not learn: {found:?}");
        for (precision, expected) in [("double", &double), ("single", &single)] {
            let apart = apart(&found, expected.values());
            println!("{name}: {apart:.1e} from PyTorch in {precision} precision");
            assert!(apart < TOLERANCE, "{name} is {apart:.1e} from PyTorch in {precision} precision");
        }
    }
    for (change, trainer) in others {
        let apart = apart(&curve(&file, examples(), trainer), double.values());
        println!("{name}, {change}: {apart:.1e}");
        assert!(apart > 10.0 * TOLERANCE, "{name}, {change}: {apart:.1e} is too little to be noticed");
    }
}

#[test]
fn a_perceptron_trained_by_adam() {
    let examples = || {
        let (image, digit) = digits(&file("perceptron")).unwrap();
        perceptron::Examples { image, digit }
    };
    let adam = Perceptron::settings().optimizer;
    let trainer = Trainer::<Perceptron>::new;
    agrees(
        "perceptron",
        examples,
        vec![
            ("learning rate 1 % higher", trainer().learning_rate(1.01 * adam.learning_rate())),
            ("another beta1", trainer().optimizer(Adam { beta1: 0.89, ..adam })),
            ("another beta2", trainer().optimizer(Adam { beta2: 0.99, ..adam })),
        ],
    );
}

#[test]
fn convolutions_and_batch_normalization_trained_with_momentum() {
    let examples = || {
        let (image, digit) = digits(&file("convolutional")).unwrap();
        convolutional::Examples { image, digit }
    };
    let sgd = Convolutional::settings().optimizer;
    let trainer = Trainer::<Convolutional>::new;
    agrees(
        "convolutional",
        examples,
        vec![
            ("learning rate 1 % higher", trainer().learning_rate(1.01 * sgd.learning_rate())),
            ("another momentum", trainer().optimizer(Sgd { momentum: 0.89, ..sgd })),
            ("no weight decay", trainer().optimizer(Sgd { weight_decay: 0.0, ..sgd })),
        ],
    );
}

#[test]
fn a_recurrent_network_with_clipped_gradients() {
    let examples = || {
        let (image, digit) = digits(&file("recurrent")).unwrap();
        recurrent::Examples { image, digit }
    };
    let sgd = Recurrent::settings().optimizer;
    let trainer = Trainer::<Recurrent>::new;
    agrees(
        "recurrent",
        examples,
        vec![
            ("learning rate 1 % higher", trainer().learning_rate(1.01 * sgd.learning_rate())),
            ("another limit", trainer().optimizer_options(clipped(Clip::GlobalNorm(0.51)))),
            ("clipped tensor by tensor", trainer().optimizer_options(clipped(Clip::Norm(0.5)))),
        ],
    );
}

#[test]
fn attention_trained_by_adamw_along_a_cosine() {
    let examples = || {
        let (image, digit) = digits(&file("attentive")).unwrap();
        attentive::Examples { image, digit }
    };
    let adamw = Attentive::settings().optimizer;
    let trainer = Trainer::<Attentive>::new;
    agrees(
        "attentive",
        examples,
        vec![
            ("learning rate 1 % higher", trainer().learning_rate(1.01 * adamw.learning_rate())),
            ("no schedule", trainer().schedule(Schedule::constant())),
            ("no weight decay", trainer().optimizer(AdamW { weight_decay: 0.0, ..adamw })),
        ],
    );
}

#[test]
fn convolutions_of_volumes_trained_by_adam() {
    let examples = || {
        let (image, digit) = digits(&file("volumetric")).unwrap();
        volumetric::Examples { image, digit }
    };
    let adam = Volumetric::settings().optimizer;
    let trainer = Trainer::<Volumetric>::new;
    agrees(
        "volumetric",
        examples,
        vec![
            ("learning rate 1 % higher", trainer().learning_rate(1.01 * adam.learning_rate())),
            ("another beta1", trainer().optimizer(Adam { beta1: 0.89, ..adam })),
        ],
    );
}

fn clipped(clip: Clip) -> Options {
    Options { clip, ..Options::default() }
}
