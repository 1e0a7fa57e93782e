//! A broken network keeps its types, so that the code around it has no errors of its own.

dln::network! {
    /// Broken in one place.
    pub network Broken {
        input x: [2];
        label y: [1];
        logit = x |> dense(4) |> rellu |> dense(1);
        output value = logit;
        loss mse(logit, y);
    }
}

fn first(examples: &broken::Examples) -> Option<&broken::X> {
    examples.x.first()
}

fn main() {
    let examples = broken::Examples { x: vec![[0.0, 1.0]], y: vec![[1.0]] };
    println!("{:?}", first(&examples));
}
