//! Training and inference that disagree, a condition that is not known, a circle.

dln::network! {
    fn f(x) = g(x) + 1;
    fn g(x) = f(x) * 2;

    pub network Choices {
        input x: [2];
        hidden = if training { x |> dense(3) } else { x };
        output value = hidden |> dense(1);
    }

    network Runtime {
        input x: [2];
        chosen = if x > 0 { x } else { 2 * x };
        output value = chosen;
    }
}

fn main() {}
