//! What a network is made of, for checkpoints: the text it was declared in, and a hash of what it holds and computes.
//!
//! The hash does not see comments, order of files or the `train` section: numbers of training may change between two
//! runs of one network.

use std::fmt::Write;

use super::Module;
use crate::model::Model;

/// The lines of the file that declares the network.
pub(super) fn source<'a>(module: &Module<'a>) -> Vec<&'a str> {
    module.sources.get(module.model.span.file).text.trim().lines().map(str::trim_end).collect()
}

/// The hash of both graphs and of everything they refer to by number.
pub(super) fn fingerprint(model: &Model) -> u64 {
    let mut text = String::new();
    let mut line = |kind: &str, name: &str, what: &dyn std::fmt::Debug| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{kind} {name} {what:?}");
    };
    for field in &model.fields {
        line("field", &field.name, &(field.element, &field.dims, field.label));
    }
    for parameter in &model.parameters {
        line("parameter", &parameter.path, &parameter.dims);
    }
    for state in &model.states {
        line("state", &state.path, &state.dims);
    }
    let _ = write!(text, "{}\n{}", model.training, model.inference);
    fnv1a(text.as_bytes())
}

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo, 1991; RFC 9923).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    /// Published values of the hash.
    #[test]
    fn the_hash_is_fnv_1a() {
        let cases = [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)];
        for (text, hash) in cases {
            assert_eq!(super::fnv1a(text.as_bytes()), hash, "{text}");
        }
    }
}
