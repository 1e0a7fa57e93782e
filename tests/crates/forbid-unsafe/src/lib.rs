//! A crate that forbids unsafe code and denies every warning compiles what the macro generates.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unused, nonstandard_style, future_incompatible)]

dln::network! {
    const CLASSES = 4;

    /// A small convolutional network.
    pub network Cnn {
        /// A grey image.
        input image: [1, 8, 8];
        label kind: index(CLASSES);

        features = image
            |> conv2d(4, kernel: 3, padding: 1) |> relu |> max_pool2d(2)
            |> flatten;
        logits = features |> hidden: dense(16) |> relu |> dense(CLASSES);

        output probabilities = softmax(logits);
        loss cross_entropy(logits, kind);
        metric accuracy(logits, kind);

        train { optimizer: adam(learning_rate: 0.01), batch: 16, epochs: 5 }
    }

    /// Private to this crate.
    network Mlp {
        input x: [3];
        label y: [1];
        estimate = x |> dense(8) |> tanh |> dense(1);
        output value = estimate;
        loss mse(estimate, y);
        train { optimizer: sgd(learning_rate: 0.1, momentum: 0.9), batch: 8, epochs: 5 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cnn, Mlp, cnn, mlp};
    use dln::runtime::{Examples, Network, Report};

    /// The losses of 60 steps over one batch.
    fn losses<N: Network>(examples: &N::Examples) -> Vec<f32> {
        let (mut parameters, mut state) = N::initialize(1);
        let mut optimizers = N::optimizers(N::settings().optimizer, 1);
        let mut workspace = N::training_workspace(examples.len(), 1);
        let step = |_| {
            N::step(&mut parameters, &mut state, &mut optimizers, &mut workspace, examples.batch(), None)
                .map(|report| report.loss())
        };
        (0..60).map(step).collect::<Result<_, _>>().expect("the batch fits the workspace")
    }

    #[test]
    fn a_convolutional_network_learns() {
        // The kind of an image is the quadrant that is bright.
        let mut examples = cnn::Examples::default();
        for kind in 0..4_usize {
            let bright = |row: usize, column: usize| (row / 4) * 2 + column / 4 == kind;
            let image =
                std::array::from_fn(|row| std::array::from_fn(|column| f32::from(u8::from(bright(row, column)))));
            examples.image.push([image]);
            examples.kind.push(kind as u32);
        }
        let losses = losses::<Cnn>(&examples);
        // At first about ln 4 = 1.386, as nothing is known of four kinds.
        assert!((0.3..3.5).contains(&losses[0]), "{losses:?}");
        assert!(losses[59] < 0.1 * losses[0], "{losses:?}");
    }

    #[test]
    fn a_perceptron_learns() {
        let mut examples = mlp::Examples::default();
        for i in 0..8_u8 {
            let x = [i & 1, i >> 1 & 1, i >> 2 & 1].map(f32::from);
            examples.x.push(x);
            examples.y.push([x[0] - 0.5 * x[1] + 0.25 * x[2]]);
        }
        let losses = losses::<Mlp>(&examples);
        assert!(losses[59] < 0.1 * losses[0], "{losses:?}");
    }
}
