//! Twins of the changes of form.

use crate::{Form, SHARD};

/// Where float `i` of an example of `len` floats lies.
pub(super) fn place(form: Form, len: usize, example: usize, i: usize) -> usize {
    match form {
        Form::Examples => example * len + i,
        Form::Lanes => i * SHARD + example,
    }
}

/// Twin of [`crate::interleave`].
pub fn interleave(form: Form, n: usize, len: usize, x: &[f32], y: &mut [f32]) {
    let examples = if form == Form::Lanes { SHARD } else { n };
    for (example, i) in (0..examples).flat_map(|example| (0..len).map(move |i| (example, i))) {
        y[place(form, len, example, i)] = x[if example < n { example } else { 0 } * len + i];
    }
}

/// Twin of [`crate::deinterleave`].
pub fn deinterleave(form: Form, n: usize, len: usize, x: &[f32], y: &mut [f32]) {
    for (example, i) in (0..n).flat_map(|example| (0..len).map(move |i| (example, i))) {
        y[example * len + i] = x[place(form, len, example, i)];
    }
}
