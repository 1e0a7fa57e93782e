//! Compiles the network before the program.

fn main() {
    dl_build::compile("wine.dln");
}
