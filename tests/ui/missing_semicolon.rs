//! A binding that is not closed: the place is right behind its last token.

dln::network! {
    pub network Missing {
        input x: [2];
        label y: [1];
        hidden = x |> dense(4) |> relu
        logit = hidden |> dense(1);
        output value = logit;
        loss mse(logit, y);
    }
}

fn main() {}
