//! Progress of a training on standard error: an epoch's batches and record enter, a bar or a line leaves.
//!
//! Writing never fails a training: a closed standard error is ignored. Standard output is not touched.

use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use dl_runtime::Report;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::evaluate::Totals;
use crate::{EpochRecord, Evaluation};

/// How a training shows its progress, on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// A bar if standard error is a terminal, else lines.
    #[default]
    Auto,
    /// A bar for the epoch under way, and a line for each epoch done; `*` marks the best one so far.
    Bar,
    /// A line for each epoch done; `*` marks the best one so far.
    Lines,
    /// Nothing.
    Silent,
}

impl Progress {
    /// What `Auto` is here.
    pub(crate) fn resolved(self) -> Self {
        match self {
            Progress::Auto if std::io::stderr().is_terminal() => Progress::Bar,
            Progress::Auto => Progress::Lines,
            chosen => chosen,
        }
    }
}

/// The numbers behind the bar are refreshed that often; formatting them allocates.
const REFRESH: Duration = Duration::from_millis(100);

/// The view of one training.
pub(crate) struct View {
    mode: Progress,
    epochs: usize,
    examples: usize,
    bar: Option<ProgressBar>,
    refreshed: Instant,
}

impl View {
    pub(crate) fn new(progress: Progress, epochs: usize, examples: usize) -> Self {
        Self { mode: progress.resolved(), epochs, examples, bar: None, refreshed: Instant::now() }
    }

    /// Before the first batch of an epoch, or before the next one if `done` examples were seen in an earlier run.
    pub(crate) fn start_epoch(&mut self, epoch: usize, done: usize) {
        if self.mode == Progress::Bar {
            let target = ProgressDrawTarget::stderr_with_hz(10);
            let bar = ProgressBar::with_draw_target(Some(self.examples as u64), target)
                .with_style(style())
                .with_prefix(self.epoch_label(epoch))
                .with_position(done as u64);
            self.bar = Some(bar);
            self.refreshed = Instant::now();
        }
    }

    /// After each batch: how many examples it had, and the epoch's means so far.
    pub(crate) fn advance<R: Report>(&mut self, examples: usize, totals: &Totals) {
        if let Some(bar) = &self.bar {
            bar.inc(examples as u64);
            if self.refreshed.elapsed() >= REFRESH {
                bar.set_message(numbers(totals.loss(), totals.metrics::<R>()));
                self.refreshed = Instant::now();
            }
        }
    }

    pub(crate) fn finish_epoch(&mut self, record: &EpochRecord, best: bool) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.mode != Progress::Silent {
            let rate = (self.examples as f64 / record.seconds.max(1e-9)).round();
            print(&format!(
                "{} {}  {}  |  validation {}  |  {:.2} s, {rate}/s",
                self.epoch_label(record.epoch),
                if best { '*' } else { ' ' },
                evaluation(&record.train),
                evaluation(&record.validation),
                record.seconds,
            ));
        }
    }

    /// After the last epoch: why training ended, and what the best epoch was.
    pub(crate) fn finish(&self, epochs: usize, best: Option<&EpochRecord>, stopped_early: bool) {
        if let (true, Some(best)) = (self.mode != Progress::Silent, best) {
            print(&format!(
                "{} after {epochs} epochs; the best was epoch {}: validation {}",
                if stopped_early { "stopped early" } else { "done" },
                best.epoch,
                evaluation(&best.validation),
            ));
        }
    }

    fn epoch_label(&self, epoch: usize) -> String {
        let width = self.epochs.to_string().len();
        format!("epoch {epoch:width$}/{}", self.epochs)
    }
}

impl Drop for View {
    /// A training that ends with an error leaves no half bar behind.
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn style() -> ProgressStyle {
    let template = "{prefix} {bar:16} {pos}/{len}  {rate}/s, {eta} left  {wide_msg}";
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
        .with_key("rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
            // It cannot fail on the bar's own string; a missing rate would be no reason to stop.
            let _ = write!(out, "{:.0}", state.per_sec());
        })
}

fn evaluation(evaluation: &Evaluation) -> String {
    numbers(evaluation.loss, evaluation.metrics.iter().copied())
}

fn numbers(loss: f64, metrics: impl Iterator<Item = (&'static str, f64)>) -> String {
    let mut text = format!("loss {}", number(loss));
    for (name, value) in metrics {
        text.push_str(&format!("  {name} {}", number(value)));
    }
    text
}

/// Four decimals, or an exponent where they would show nothing or a long row of digits.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e6).contains(&magnitude) { format!("{value:.2e}") } else { format!("{value:.4}") }
}

fn print(line: &str) {
    // A progress line that nobody can read is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0.0000"), (2.34561, "2.3456"), (0.00012, "1.20e-4"), (1234567.0, "1.23e6")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
            assert_eq!(number(-value).trim_start_matches('-'), text);
        }
    }
}
