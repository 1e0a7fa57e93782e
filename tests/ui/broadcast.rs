//! Two shapes that do not combine, each with its place; also within a layer, at the place of the mistake.

dln::network! {
    layer skip(x: [.., n], width) {
        y = x |> dense(width) |> relu;
        x + y
    }

    pub network Sums {
        input a: [3];
        input b: [4];
        sum = a + b;
        output value = a |> skip(3) |> skip(5);
    }
}

fn main() {}
