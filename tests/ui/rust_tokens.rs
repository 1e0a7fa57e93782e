//! What is a token of Rust, but none of the language.

dln::network! {
    #[derive(Debug)]
    pub network Tokens {
        input x: [2];
        a = 'c';
        b = 1u8;
        c = x.len();
        output value = x;
    }
}

fn main() {}
