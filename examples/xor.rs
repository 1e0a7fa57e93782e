//! Exclusive or, learned from its four cases: the first network to read.

use dl_train::{Progress, TrainError, Trainer};
use dln::runtime::Network;
use std::time::Instant;

dln::network! {
    network Xor {
        input bits: [2];
        label odd: [1];

        logit = bits |> dense(8) |> tanh |> dense(1);

        output probability = sigmoid(logit);
        loss   binary_cross_entropy(logit, odd);
        metric binary_accuracy(logit, odd);

        train { optimizer: adam(learning_rate: 0.05), batch: 4, epochs: 200 }
    }
}

fn main() -> Result<(), TrainError> {
    let start = Instant::now();
    let cases = xor::Examples {
        bits: vec![[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]],
        odd: vec![[0.0], [1.0], [1.0], [0.0]],
    };
    let trained = Trainer::<Xor>::new().progress(Progress::Silent).fit(&cases, &cases)?;

    let mut workspace = Xor::workspace(4, 1);
    let probabilities = xor::forward(&trained.prepare(), &mut workspace, &cases.bits)?;
    for (bits, [probability]) in cases.bits.iter().zip(probabilities) {
        println!("{bits:?} is odd with probability {probability:.3}");
    }
    let evaluation = trained.evaluate(&cases)?;
    println!("time {:.3} s", start.elapsed().as_secs_f64());
    println!("accuracy {:.2} %", 100.0 * evaluation.metric("binary_accuracy").unwrap_or(0.0));
    Ok(())
}
