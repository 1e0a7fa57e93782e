//! Numbers and sizes beyond all bounds.

dln::network! {
    pub network Large {
        input x: [2];
        a = x |> dense(99999999999999999999);
        b = x |> dense(4_000_000_GiB);
        c = x |> dense(-3);
        d = x |> dense(2.5);
        output value = x;
    }
}

fn main() {}
