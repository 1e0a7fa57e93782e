//! What training needs: a loss that is one number, a gradient, settings that exist.

dln::network! {
    pub network Losses {
        input x: [2];
        label target: [2];
        estimate = x |> dense(2);
        error = estimate - target;
        output value = abs(error);
        loss error ^ 2;
        train { optimizer: adma(learning_rate: 0.01), batch: 0 }
    }

    network Fixed {
        input x: [2];
        label class: index(3);
        logits = x |> dense(3);
        output value = softmax(logits);
        loss accuracy(logits, class);
    }
}

fn main() {}
