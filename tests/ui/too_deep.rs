//! Nesting beyond the limit.

dln::network! {
    pub network Deep {
        input x: [2];
        output value = ((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((x))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))));
    }
}

fn main() {}
