//! A name that is bound twice: both places are told.

dln::network! {
    pub network Duplicate {
        input x: [2];
        label y: [2];
        hidden = x |> dense(4);
        hidden = hidden |> relu;
        output value = hidden;
        loss mse(hidden |> dense(2), y);
    }
}

fn main() {}
