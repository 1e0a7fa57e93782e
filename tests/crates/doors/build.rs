//! Compiles the network that the macros compile too.

fn main() {
    dl_build::compile("nets/tiny.dln");
}
