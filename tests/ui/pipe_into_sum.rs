//! The right side of a pipe is a stage, so a sum needs parentheses.

dln::network! {
    pub network Sum {
        input x: [2];
        output value = x
            |> relu
            + x;
    }
}

fn main() {}
