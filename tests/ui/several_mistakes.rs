//! All mistakes at once, each on its own tokens.

dln::network! {
    const WIDTH = ;

    pub network Several {
        input x [2];
        a = 0 < x < 1;
        output = relu(x);
        let b = x;
    }
}

fn main() {}
