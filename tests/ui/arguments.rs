//! How the macros are called.

dln::include_network!();

dln::include_network!(3);

dln::include_network!("a.dln" "b.dln");

dln::include_network!("a.dln", other = ::dln::runtime);

dln::include_network!("a.dln", runtime = ::dln::<u8>);

dln::network! {
    #![runtime = dln runtime]
    network Tiny {}
}

fn main() {}
