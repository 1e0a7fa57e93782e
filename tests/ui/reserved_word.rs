//! Words that the language keeps for itself.

dln::network! {
    pub network Reserved {
        input x: [2];
        scan = x |> relu;
        output value = scan;
    }
}

fn main() {}
