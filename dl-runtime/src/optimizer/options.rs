//! What any rule can be combined with: clipping, accumulation, averages, decay by parameter.

use super::setting::{self, OutOfRange, SettingError};
use crate::TensorInfo;

/// What an optimizer does besides its rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How gradients are kept small.
    pub clip: Clip,
    /// Steps whose gradients make one update, by their mean; 1 updates at every step.
    pub accumulate: usize,
    /// Share of the moving average of the parameters that remains at an update, such as 0.999; `None` keeps no average.
    pub ema: Option<f32>,
    /// Factors of the rule's weight decay (of `l1` and `l2`, where it has those instead) for parameters by their path. Of
    /// several that match a tensor the last one counts; tensors that none matches keep the factor 1.
    pub decay: Vec<Decay>,
}

impl Options {
    /// No clipping, an update at every step, no average, the same decay for all.
    pub const fn new() -> Self {
        Self { clip: Clip::None, accumulate: 1, ema: None, decay: Vec::new() }
    }

    /// Checks all numbers, and that each pattern of `decay` matches one of the tensors.
    ///
    /// # Errors
    /// The first number that is out of range, or the first pattern that matches nothing.
    pub fn check(&self, tensors: &[TensorInfo]) -> Result<(), SettingError> {
        self.check_numbers()?;
        for Decay { pattern, .. } in &self.decay {
            if !tensors.iter().any(|tensor| path_matches(pattern, tensor.name)) {
                let paths = tensors.iter().map(|tensor| tensor.name).collect();
                return Err(SettingError::NoSuchPath { pattern: pattern.clone(), paths });
            }
        }
        Ok(())
    }

    pub(super) fn check_numbers(&self) -> Result<(), OutOfRange> {
        const COUNT: &str = "from 1 to 16777216";
        match self.clip {
            Clip::None => {}
            Clip::Value(limit) => setting::positive("clip", "value", limit)?,
            Clip::Norm(limit) => setting::positive("clip", "norm", limit)?,
            Clip::GlobalNorm(limit) => setting::positive("clip", "global_norm", limit)?,
        }
        let holds = (1..=1 << 24).contains(&self.accumulate);
        setting::expect(holds, "optimizer", "accumulate", COUNT, self.accumulate as f64)?;
        if let Some(ema) = self.ema {
            setting::below_one("optimizer", "ema", ema)?;
        }
        self.decay.iter().try_for_each(|decay| setting::not_negative("decay", "factor", decay.factor))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// How gradients are kept small before the rule sees them, weight decay not among them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Clip {
    /// Not at all.
    None,
    /// Every number to `−limit … limit`.
    Value(f32),
    /// The gradient `g` of every tensor by `min(1, limit / (‖g‖₂ + 1e-6))` (Pascanu et al., 2013, as PyTorch writes it).
    Norm(f32),
    /// As `Norm`, with the norm of all gradients together. A norm that is not finite changes nothing, so that it is seen
    /// which gradient is not.
    GlobalNorm(f32),
}

/// A factor of the weight decay of some parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Decay {
    /// Which parameters, as [`path_matches`] understands it.
    pub pattern: String,
    /// What their decay is multiplied by; 0 takes it away.
    pub factor: f32,
}

impl Decay {
    /// That factor for the parameters that match.
    pub fn new(pattern: impl Into<String>, factor: f32) -> Self {
        Self { pattern: pattern.into(), factor }
    }
}

/// Whether a path, such as `hidden.weight`, matches a pattern as `freeze` and `updates` take them: `*` stands for any
/// characters within a segment, and a last segment `*` for one segment or more.
pub fn path_matches(pattern: &str, path: &str) -> bool {
    let (mut patterns, mut segments) = (pattern.split('.').peekable(), path.split('.'));
    while let Some(pattern) = patterns.next() {
        match segments.next() {
            None => return false,
            Some(_) if pattern == "*" && patterns.peek().is_none() => return true,
            Some(segment) if !segment_matches(pattern.as_bytes(), segment.as_bytes()) => return false,
            Some(_) => {}
        }
    }
    segments.next().is_none()
}

/// Whether a segment matches: on a mismatch the last `*` takes one more byte.
fn segment_matches(pattern: &[u8], segment: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < segment.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, from));
            at += 1;
        } else if pattern.get(at) == Some(&segment[from]) {
            (at, from) = (at + 1, from + 1);
        } else if let Some((place, taken)) = star {
            star = Some((place, taken + 1));
            (at, from) = (place + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_segment_and_a_last_one_takes_any_depth() {
        for (pattern, path) in [
            ("a.weight", "a.weight"),
            ("a.*", "a.b.weight"),
            ("*", "a.b.weight"),
            ("*.bias", "hidden.bias"),
            ("a.conv2d_*.weight", "a.conv2d_12.weight"),
            ("*b*d*.e", "abcd.e"),
            ("a*a", "aa"),
            ("a*ba", "abba"),
        ] {
            assert!(path_matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a", "a.weight"),
            ("a.*", "a"),
            ("*.weight", "a.b.weight"),
            ("a*a", "a"),
            ("a.weight.*", "a.weight"),
            ("", "a"),
            ("*b*d*", "acd"),
        ] {
            assert!(!path_matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn wrong_options_are_errors() {
        const TENSORS: &[TensorInfo] = &[TensorInfo { name: "hidden.weight", dims: &[2, 3], offset: 0, place: "" }];
        let message = |options: Options| options.check(TENSORS).unwrap_err().to_string();
        let clip = |clip| Options { clip, ..Options::new() };
        let above = "is a finite number above 0, found";
        assert_eq!(message(clip(Clip::Value(0.0))), format!("`value` of `clip` {above} 0"));
        assert_eq!(message(clip(Clip::Norm(f32::NAN))), format!("`norm` of `clip` {above} NaN"));
        assert_eq!(message(clip(Clip::GlobalNorm(-1.0))), format!("`global_norm` of `clip` {above} -1"));
        assert_eq!(
            message(Options { accumulate: 0, ..Options::new() }),
            "`accumulate` of `optimizer` is from 1 to 16777216, found 0"
        );
        assert!(Options { ema: Some(1.0), ..Options::new() }.check(TENSORS).is_err());
        let decay = |pattern, factor| Options { decay: vec![Decay::new(pattern, factor)], ..Options::new() };
        assert!(decay("*.weight", -1.0).check(TENSORS).is_err());
        assert_eq!(decay("*.weight", 0.0).check(TENSORS), Ok(()));
        assert_eq!(
            message(decay("*.bias", 0.0)),
            "no parameter has a path that matches `*.bias`; the paths are `hidden.weight`"
        );
    }
}
