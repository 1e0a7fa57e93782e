//! What the curves of a training say in words: underfit, overfit or a good fit, and by which numbers.
//!
//! All comparisons are with the *range*: from the highest loss of the history down to the lowest. They are rules of thumb; the
//! reason says what they saw.

use std::fmt;

use crate::{EpochRecord, History};

/// How well a training fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fit {
    /// More could be learned: the losses have hardly fallen, or are still falling.
    Underfit,
    /// The training examples are known better than others.
    Overfit,
    /// Losses have levelled off, close to each other.
    Good,
    /// There are fewer than three epochs with finite losses.
    Unclear,
}

/// A fit and the reason to say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The fit.
    pub fit: Fit,
    /// The numbers it is read from, in words.
    pub reason: String,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Underfit => "underfit",
            Self::Overfit => "overfit",
            Self::Good => "good fit",
            Self::Unclear => "unclear",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.fit, self.reason)
    }
}

impl History {
    /// What the losses say, by these rules, the first that holds:
    ///
    /// 1. the best validation loss is less than 10 % below the first training loss: underfit;
    /// 2. the validation loss rose from its best by over 10 % of the range while the training loss fell: overfit;
    /// 3. at the best epoch validation and training loss are over 20 % of the range apart: overfit;
    /// 4. in the last quarter of the epochs the validation loss still fell by over 5 % of the range: underfit;
    /// 5. otherwise: a good fit.
    pub fn verdict(&self) -> Verdict {
        let finite = |record: &&EpochRecord| record.train.loss.is_finite() && record.validation.loss.is_finite();
        let epochs: Vec<&EpochRecord> = self.epochs.iter().filter(finite).collect();
        let verdict = |fit, reason| Verdict { fit, reason };
        let best = epochs.iter().min_by(|a, b| a.validation.loss.total_cmp(&b.validation.loss));
        let (Some(first), Some(last), Some(best), true) = (epochs.first(), epochs.last(), best, epochs.len() > 2)
        else {
            return verdict(Fit::Unclear, format!("{} epochs are too few to tell", epochs.len()));
        };
        let losses = || epochs.iter().flat_map(|record| [record.train.loss, record.validation.loss]);
        let range = losses().fold(f64::MIN, f64::max) - losses().fold(f64::MAX, f64::min);
        let (start, lowest) = (first.train.loss, best.validation.loss);
        if start - lowest <= 0.1 * start.abs() {
            let reason = format!("the loss has hardly fallen, from {start:.3} to {lowest:.3} at best");
            return verdict(Fit::Underfit, reason);
        }
        let rise = last.validation.loss - lowest;
        if rise > 0.1 * range && last.train.loss < best.train.loss {
            let reason = format!(
                "since epoch {} the validation loss rose from {lowest:.3} to {:.3} while training fell to {:.3}",
                best.epoch, last.validation.loss, last.train.loss
            );
            return verdict(Fit::Overfit, reason);
        }
        if lowest - best.train.loss > 0.2 * range {
            let reason = format!(
                "at its best, in epoch {}, the validation loss is {lowest:.3}, the training loss {:.3}",
                best.epoch, best.train.loss
            );
            return verdict(Fit::Overfit, reason);
        }
        let earlier = epochs[(epochs.len() - 1) * 3 / 4];
        if earlier.validation.loss - last.validation.loss > 0.05 * range {
            let reason = format!(
                "still falling, from {:.3} to {:.3} since epoch {}: more epochs may help",
                earlier.validation.loss, last.validation.loss, earlier.epoch
            );
            return verdict(Fit::Underfit, reason);
        }
        let reason = format!(
            "levelled off, at best with training loss {:.3} and validation loss {lowest:.3} (epoch {})",
            best.train.loss, best.epoch
        );
        verdict(Fit::Good, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Evaluation;

    fn fit(losses: &[(f64, f64)]) -> Fit {
        let evaluation = |loss| Evaluation { loss, metrics: vec![] };
        let record = |(epoch, &(train, validation))| {
            let (train, validation) = (evaluation(train), evaluation(validation));
            EpochRecord { epoch, train, validation, seconds: 0.1 }
        };
        History { epochs: (1..).zip(losses).map(record).collect(), stopped_early: false }.verdict().fit
    }

    #[test]
    fn curves_of_the_textbook_are_told_apart() {
        let curve = |at: fn(f64) -> (f64, f64)| (0..20).map(|epoch| at(f64::from(epoch))).collect::<Vec<_>>();
        assert_eq!(fit(&curve(|x| (2.0 * (-x / 3.0).exp() + 0.1, 2.0 * (-x / 3.0).exp() + 0.15))), Fit::Good);
        assert_eq!(fit(&curve(|x| (2.0 - 0.05 * x, 2.0 - 0.05 * x + 0.02))), Fit::Underfit);
        assert_eq!(fit(&curve(|x| (2.0 - 0.001 * x, 2.0 - 0.001 * x))), Fit::Underfit);
        assert_eq!(fit(&curve(|x| (2.0 * (-x / 3.0).exp(), 0.5 + 0.01 * (x - 6.0).powi(2)))), Fit::Overfit);
        assert_eq!(fit(&curve(|x| (2.0 * (-x / 3.0).exp(), 0.8 + 1.2 * (-x / 2.0).exp()))), Fit::Overfit);
        assert_eq!(fit(&curve(|_| (1.0, 1.0))), Fit::Underfit);
        assert_eq!(fit(&[(1.0, 1.0), (0.5, 0.5)]), Fit::Unclear);
        assert_eq!(fit(&[(f64::NAN, 1.0); 5]), Fit::Unclear);
        assert_eq!(fit(&[]), Fit::Unclear);
    }
}
