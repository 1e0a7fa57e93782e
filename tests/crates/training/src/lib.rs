//! Networks for the tests beside it, with all that a checkpoint must hold: running statistics, dropout, two optimizers.
#![deny(warnings)]

use dln::runtime::Rng;

dln::network! {
    /// Points of three classes.
    pub network Blobs {
        input point: [4];
        label class: index(3);

        logits = point |> hidden: dense(16) |> batch_norm |> relu |> dropout(0.2) |> last: dense(3);

        output probabilities = softmax(logits);
        loss cross_entropy(logits, class);
        metric accuracy(logits, class);

        train { optimizer: adam(learning_rate: 0.01), batch: 16, epochs: 6 }
    }
}

dln::network! {
    /// The same with a wider layer and one more.
    pub network Wider {
        input point: [4];
        label class: index(3);

        logits = point |> hidden: dense(24) |> relu |> between: dense(8) |> relu |> last: dense(3);

        output probabilities = softmax(logits);
        output scores = logits;
        loss cross_entropy(logits, class);

        train { optimizer: sgd(learning_rate: 0.05), batch: 16, epochs: 2 }
    }
}

dln::network! {
    /// A gradient that is infinite where a root is 0, though the loss is finite.
    pub network Root {
        input x: [2];
        label y: [2];

        before = x |> first: dense(2, bias: false);
        root = sqrt(max(before, 0.0));
        after = root |> second: dense(2, bias: false);

        output value = after;
        loss mse(after, y);

        train { optimizer: sgd(learning_rate: 0.01), batch: 4, epochs: 2 }
    }
}

dln::include_network!("../../networks/gan.dln");
dln::include_network!("../../networks/lenet.dln");

/// Points around the middle of their class.
pub fn blobs(seed: u64, count: usize) -> blobs::Examples {
    let mut rng = Rng::new(seed);
    let mut examples = blobs::Examples::default();
    for _ in 0..count {
        let class = rng.below(3) as u32;
        let mut number = || rng.next_u32() as f32 / u32::MAX as f32 - 0.5;
        examples.point.push(std::array::from_fn(|at| number() + if at as u32 == class { 1.0 } else { 0.0 }));
        examples.class.push(class);
    }
    examples
}
