//! Under `macro_rules!` the error stands on the token that is wrong, wherever it was written.

macro_rules! network {
    ($name:ident, $units:expr) => {
        dln::network! {
            pub network $name {
                input x: [2];
                output value = x |> dense($units) |> relu |> ;
            }
        }
    };
}

network!(Assembled, 2 + 2);

fn main() {}
