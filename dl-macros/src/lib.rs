//! The macros `network!` and `include_network!`: a network description in Rust source becomes Rust code in place.
//!
//! Tokens enter and leave. `place` turns the tokens back into text, the compiler compiles the text, and
//! `report` turns each diagnostic into a `compile_error!` on the tokens it speaks of. What a description means
//! is the compiler's business; nothing is decided here. Both macros report errors only, as a procedural
//! macro cannot warn on stable Rust.

mod expand;
mod place;
mod report;

use proc_macro::TokenStream;

/// Compiles the networks written between the braces, at item position.
///
/// A network `Tiny` becomes a module `tiny` and a type `Tiny`. What stands between the braces is what could stand
/// in a `.dln` file, `//!` and `///` documentation included.
///
/// The generated code reaches its runtime as `::dln::runtime`. A crate that depends on dln under another name says
/// so in the first line:
///
/// ```text
/// other_name::network! {
///     #![runtime = ::other_name::runtime]
///     network Tiny { … }
/// }
/// ```
///
/// # Errors
/// Each mistake of the description is a compiler error on the tokens it speaks of.
#[proc_macro]
pub fn network(tokens: TokenStream) -> TokenStream {
    expand::network(tokens.into(), expand::Site::here()).into()
}

/// Compiles the networks of a `.dln` file, at item position: `include_network!("nets/lenet.dln");`.
///
/// The path is relative to the folder of the crate's `Cargo.toml`. The crate is compiled anew when the file changes.
/// A crate that depends on dln under another name says so after the path:
/// `include_network!("nets/lenet.dln", runtime = ::other_name::runtime);`
///
/// # Errors
/// Each mistake of the file is a compiler error at the path, which shows the file's line.
#[proc_macro]
pub fn include_network(tokens: TokenStream) -> TokenStream {
    expand::include_network(tokens.into(), expand::Site::here()).into()
}
