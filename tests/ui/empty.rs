//! No network at all.

dln::network! {}

mod only_a_comment {
    dln::network! {
        // nothing
    }
}

fn main() {}
