//! Shapes that do not fit, underlined over several lines where the operation is written over several.

dln::network! {
    pub network Shapes {
        input a: [3, 4];
        input b: [5];
        label y: [5];
        sum = a + b;
        product = a @
            b;
        estimate = b |> conv2d(
            4,
            kernel: 3,
        );
        output value = b;
        loss mse(b |> dense(4), y);
    }
}

fn main() {}
