//! What a search found: the trials of each candidate with each point enter, a ranked table leaves, as text, CSV and JSON.

use std::fmt;

use serde_json::{Value, json};

use super::candidate::Score;
use super::{HyperParameters, Outcome};
use crate::TrainError;
use crate::callback::Monitor;
use crate::checkpoint::json as numbers;
use crate::history::write;

/// All that a search tried.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchResults {
    /// One row for each candidate with each set of hyperparameters, in the order in which they were tried.
    pub rows: Vec<ResultRow>,
    monitor: Monitor,
}

/// One candidate with one set of hyperparameters.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// Its rank by the mean of what the search looks at, from 1; equal ones share the better rank. `None` if it has no
    /// mean.
    pub rank: Option<usize>,
    /// The candidate.
    pub candidate: String,
    /// The hyperparameters.
    pub hyperparameters: HyperParameters,
    /// How the trial of each fold ended.
    pub folds: Vec<Outcome>,
}

impl ResultRow {
    /// The mean of `loss` or a metric over all folds; `None` if a trial failed, or the metric is not there or not finite.
    pub fn mean(&self, name: &str) -> Option<f64> {
        let values = self.values(name)?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }

    /// The standard deviation over all folds: the root of the mean square of the differences from the mean.
    pub fn standard_deviation(&self, name: &str) -> Option<f64> {
        let (values, mean) = (self.values(name)?, self.mean(name)?);
        Some((values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt())
    }

    /// Why the first trial that failed did so.
    pub fn failure(&self) -> Option<&str> {
        self.folds.iter().find_map(|outcome| match outcome {
            Outcome::Failed(reason) => Some(reason.as_str()),
            Outcome::Finished(_) => None,
        })
    }

    fn values(&self, name: &str) -> Option<Vec<f64>> {
        self.folds.iter().map(|outcome| outcome.score()?.get(name).filter(|value| value.is_finite())).collect()
    }
}

impl SearchResults {
    pub(super) fn new(mut rows: Vec<ResultRow>, monitor: Monitor) -> Self {
        let key = |row: &ResultRow| row.mean(monitor.name()).map(|mean| monitor.signed(mean));
        let keys: Vec<Option<f64>> = rows.iter().map(key).collect();
        for (row, own) in rows.iter_mut().zip(&keys) {
            row.rank = own.map(|own| 1 + keys.iter().flatten().filter(|&&other| other < own).count());
        }
        Self { rows, monitor }
    }

    /// The best row, the first of equally good ones; `None` if no row has a rank.
    pub fn best(&self) -> Option<&ResultRow> {
        self.rows.iter().find(|row| row.rank == Some(1))
    }

    /// The rows by rank, those without one last.
    pub fn ranked(&self) -> Vec<&ResultRow> {
        let mut rows: Vec<&ResultRow> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.rank.unwrap_or(usize::MAX));
        rows
    }

    /// A table of comma-separated values, by rank: a line of names, then one for each row. `mean_` and `std_` stand before
    /// the loss and each metric; `fold_1` and so on hold what the search looks at.
    pub fn csv(&self) -> String {
        let (hyperparameters, metrics) = (self.hyperparameters(), self.metrics());
        let folds = self.rows.first().map_or(0, |row| row.folds.len());
        let mut names = vec!["rank".to_owned(), "candidate".to_owned()];
        names.extend(hyperparameters.iter().map(|name| (*name).to_owned()));
        names.extend(metrics.iter().flat_map(|name| [format!("mean_{name}"), format!("std_{name}")]));
        names.extend((1..=folds).map(|fold| format!("fold_{fold}")));
        names.push("failed".to_owned());
        let mut text = csv_line(&names);
        for row in self.ranked() {
            let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
            let mut fields = vec![row.rank.map_or_else(String::new, |rank| rank.to_string()), row.candidate.clone()];
            let text_of = |name: &&str| row.hyperparameters.get(name).map_or_else(String::new, ToString::to_string);
            fields.extend(hyperparameters.iter().map(text_of));
            let statistics = |name: &&str| [row.mean(name), row.standard_deviation(name)].map(number);
            fields.extend(metrics.iter().flat_map(statistics));
            let looked_at =
                |outcome: &Outcome| number(outcome.score().and_then(|score| score.get(self.monitor.name())));
            fields.extend(row.folds.iter().map(looked_at));
            fields.push(row.failure().unwrap_or_default().to_owned());
            text += &csv_line(&fields);
        }
        text
    }

    /// A JSON object a line for each row, by rank: `rank`, `candidate`, `hyperparameters`, `mean` and `std` with the loss and
    /// each metric, and `folds` with all of each trial, or why it `failed`.
    pub fn json_lines(&self) -> String {
        let metrics = self.metrics();
        let line = |row: &ResultRow| {
            let statistics = |value: &dyn Fn(&str) -> Option<f64>| {
                let each = metrics.iter().filter_map(|name| Some(((*name).to_owned(), numbers::float(value(name)?))));
                Value::Object(each.collect())
            };
            let fold = |outcome: &Outcome| match outcome {
                Outcome::Failed(reason) => json!({ "failed": reason }),
                Outcome::Finished(Score { loss, metrics, epochs, .. }) => {
                    let metrics = metrics.iter().map(|(name, value)| (name.clone(), numbers::float(*value)));
                    let others = [("loss".to_owned(), numbers::float(*loss)), ("epochs".to_owned(), json!(epochs))];
                    Value::Object(others.into_iter().chain(metrics).collect())
                }
            };
            let line = json!({
                "rank": row.rank,
                "candidate": row.candidate,
                "hyperparameters": row.hyperparameters.json(),
                "mean": statistics(&|name| row.mean(name)),
                "std": statistics(&|name| row.standard_deviation(name)),
                "folds": row.folds.iter().map(fold).collect::<Vec<Value>>(),
            });
            format!("{line}\n")
        };
        self.ranked().into_iter().map(line).collect()
    }

    /// Writes the table as [`csv`](Self::csv) if the name ends in `.csv`, as [`json_lines`](Self::json_lines) if it ends in
    /// `.jsonl`, else as text. Missing folders are made.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save(&self, path: impl AsRef<std::path::Path>) -> Result<(), TrainError> {
        let path = path.as_ref();
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => self.csv(),
            Some("jsonl") => self.json_lines(),
            _ => self.to_string(),
        };
        write(path, text.as_bytes())
    }

    /// The names of hyperparameters, in the order of the search.
    fn hyperparameters(&self) -> Vec<&str> {
        different(self.rows.iter().flat_map(|row| row.hyperparameters.iter().map(|(name, _)| name)))
    }

    /// `loss` and the names of all metrics.
    fn metrics(&self) -> Vec<&str> {
        let scores = self.rows.iter().flat_map(|row| row.folds.iter().filter_map(Outcome::score));
        let names = scores.flat_map(|score| score.metrics.iter().map(|(name, _)| name.as_str()));
        different(std::iter::once("loss").chain(names))
    }
}

impl fmt::Display for SearchResults {
    /// The table by rank: what the search looks at as mean and standard deviation over the folds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hyperparameters, monitored) = (self.hyperparameters(), self.monitor.name());
        let mut lines = vec![["rank", "candidate"].map(str::to_owned).to_vec()];
        lines[0].extend(hyperparameters.iter().map(|name| (*name).to_owned()));
        lines[0].extend([format!("mean {monitored}"), "std".to_owned()]);
        for row in self.ranked() {
            let mut fields =
                vec![row.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()), row.candidate.clone()];
            let text_of = |name: &&str| row.hyperparameters.get(name).map_or_else(String::new, ToString::to_string);
            fields.extend(hyperparameters.iter().map(text_of));
            match (row.mean(monitored), row.standard_deviation(monitored)) {
                (Some(mean), Some(deviation)) => fields.extend([mean, deviation].map(short)),
                _ => fields.extend([row.failure().unwrap_or("not finite").to_owned(), String::new()]),
            }
            lines.push(fields);
        }
        let failed = |line: usize| line > 0 && lines[line][0] == "-";
        let columns = lines[0].len();
        let width = |column: usize| {
            // A reason may be as long as it likes: nothing stands behind it.
            let short = (0..lines.len()).filter(|&line| column + 2 < columns || !failed(line));
            short.map(|line| lines[line][column].chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for line in &lines {
            let padded = line.iter().zip(&widths).map(|(field, &width)| format!("{field:<width$}"));
            writeln!(f, "{}", padded.collect::<Vec<String>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A number of six figures.
fn short(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.5e}");
    }
    let before = if size < 10.0 { 1 } else { size.log10() as usize + 1 };
    format!("{value:.*}", 6_usize.saturating_sub(before).max(1))
}

fn different<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// A line of a table, with quotes where they are needed (RFC 4180).
fn csv_line(fields: &[String]) -> String {
    let quoted = fields.iter().map(|field| match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.clone(),
    });
    quoted.collect::<Vec<String>>().join(",") + "\n"
}
