//! What is tried: values and distributions enter, the hyperparameters of each trial leave.

use dl_runtime::Rng;

use super::{HyperParameters, SearchError, Value};

/// Hyperparameters to be tried, in order.
pub trait SearchSpace {
    /// The hyperparameters of each trial, no two alike.
    ///
    /// # Errors
    /// If there is nothing to try, or something no hyperparameter can be.
    fn points(&self) -> Result<Vec<HyperParameters>, SearchError>;
}

/// Every combination of the values given.
///
/// ```
/// use dl_train::search::{GridSearch, SearchSpace};
///
/// let grid = GridSearch::new().values("learning_rate", [0.01, 0.1]).values("batch", [8, 16, 32]);
/// assert_eq!(grid.points().unwrap().len(), 6);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GridSearch {
    axes: Vec<(String, Vec<Value>)>,
}

impl GridSearch {
    /// A grid without hyperparameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// A hyperparameter and its values. Later ones change faster from trial to trial.
    pub fn values<V: Into<Value>>(mut self, name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        self.axes.push((name.into(), values.into_iter().map(Into::into).collect()));
        self
    }
}

impl SearchSpace for GridSearch {
    fn points(&self) -> Result<Vec<HyperParameters>, SearchError> {
        check_names(self.axes.iter().map(|(name, _)| name.as_str()), "the grid")?;
        for (name, values) in &self.axes {
            check_choices(name, values)?;
        }
        let mut points = vec![Vec::new()];
        for (name, values) in &self.axes {
            let with = |point: &Vec<(String, Value)>, value: &Value| {
                point.iter().cloned().chain([(name.clone(), value.clone())]).collect::<Vec<_>>()
            };
            if points.len().saturating_mul(values.len()) > MOST_POINTS {
                let product = self.axes.iter().map(|(_, values)| values.len() as f64).product::<f64>();
                return Err(SearchError::range("the grid", "at most 1000000 combinations", product));
            }
            points = points.iter().flat_map(|point| values.iter().map(move |value| with(point, value))).collect();
        }
        Ok(different(points))
    }
}

/// Hyperparameters drawn at random, which finds good ones in fewer trials than a grid if only some of them matter
/// (Bergstra and Bengio, "Random search for hyper-parameter optimization", 2012).
///
/// ```
/// use dl_train::search::{RandomSearch, SearchSpace};
///
/// let search = RandomSearch::new(20).log_uniform("learning_rate", 1e-4, 1e-1).integer("batch", 8, 64);
/// assert_eq!(search.points().unwrap().len(), 20);
/// // More trials go on where fewer ended.
/// assert_eq!(search.clone().trials(30).points().unwrap()[..20], search.points().unwrap());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RandomSearch {
    trials: usize,
    seed: u64,
    axes: Vec<(String, Distribution)>,
}

/// What a hyperparameter is drawn from.
#[derive(Debug, Clone, PartialEq)]
enum Distribution {
    Uniform(f64, f64),
    LogUniform(f64, f64),
    Integer(i64, i64),
    Choice(Vec<Value>),
}

impl RandomSearch {
    /// Draws that many times, with seed 0. What is drawn a second time is not tried again.
    pub fn new(trials: usize) -> Self {
        Self { trials, seed: 0, axes: Vec::new() }
    }

    /// How many times it draws, from 1 to a million.
    pub fn trials(mut self, trials: usize) -> Self {
        self.trials = trials;
        self
    }

    /// What decides the draws.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A number from `low` to `high`, all equally likely.
    pub fn uniform(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.axis(name, Distribution::Uniform(low, high))
    }

    /// A number from `low` to `high`, both above 0, whose logarithm is uniform: as likely between 0.001 and 0.01 as between
    /// 0.01 and 0.1.
    pub fn log_uniform(self, name: impl Into<String>, low: f64, high: f64) -> Self {
        self.axis(name, Distribution::LogUniform(low, high))
    }

    /// A whole number from `low` to `high`, both included, all equally likely.
    pub fn integer(self, name: impl Into<String>, low: i64, high: i64) -> Self {
        self.axis(name, Distribution::Integer(low, high))
    }

    /// One of some values, all equally likely.
    pub fn choice<V: Into<Value>>(self, name: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        self.axis(name, Distribution::Choice(values.into_iter().map(Into::into).collect()))
    }

    fn axis(mut self, name: impl Into<String>, distribution: Distribution) -> Self {
        self.axes.push((name.into(), distribution));
        self
    }
}

impl SearchSpace for RandomSearch {
    fn points(&self) -> Result<Vec<HyperParameters>, SearchError> {
        check_names(self.axes.iter().map(|(name, _)| name.as_str()), "the random search")?;
        if !(1..=MOST_POINTS).contains(&self.trials) {
            return Err(SearchError::range("trials", "from 1 to 1000000", self.trials));
        }
        for (name, distribution) in &self.axes {
            distribution.check(name)?;
        }
        let mut rng = Rng::new(self.seed);
        let mut draw = |(name, distribution): &(String, Distribution)| (name.clone(), distribution.draw(&mut rng));
        Ok(different((0..self.trials).map(|_| self.axes.iter().map(&mut draw).collect()).collect()))
    }
}

impl Distribution {
    fn check(&self, name: &str) -> Result<(), SearchError> {
        let (expected, found) = match self {
            Distribution::Choice(values) => return check_choices(name, values),
            Distribution::Uniform(low, high) => {
                if low <= high && (high - low).is_finite() {
                    return Ok(());
                }
                ("finite numbers in ascending order", format!("uniform from {low} to {high}"))
            }
            Distribution::LogUniform(low, high) => {
                if *low > 0.0 && low <= high && high.is_finite() {
                    return Ok(());
                }
                ("finite numbers above 0 in ascending order", format!("log-uniform from {low} to {high}"))
            }
            Distribution::Integer(low, high) => {
                if low <= high {
                    return Ok(());
                }
                ("whole numbers in ascending order", format!("from {low} to {high}"))
            }
        };
        Err(SearchError::range(name, expected, found))
    }

    fn draw(&self, rng: &mut Rng) -> Value {
        // 53 random bits: from 0 up to, not including, 1.
        let mut unit = || (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        match self {
            Distribution::Uniform(low, high) => Value::Float((low + (high - low) * unit()).clamp(*low, *high)),
            Distribution::LogUniform(low, high) => {
                let (from, to) = (low.ln(), high.ln());
                Value::Float((from + (to - from) * unit()).exp().clamp(*low, *high))
            }
            Distribution::Integer(low, high) => {
                // All of 64 bits is one number too many to count.
                let span = high.abs_diff(*low).saturating_add(1);
                Value::Integer(low.wrapping_add_unsigned(rng.below(usize::try_from(span).unwrap_or(usize::MAX)) as u64))
            }
            Distribution::Choice(values) => values.get(rng.below(values.len())).cloned().unwrap_or(Value::Bool(false)),
        }
    }
}

/// More trials than this are a mistake.
const MOST_POINTS: usize = 1_000_000;

fn check_names<'a>(names: impl Iterator<Item = &'a str>, what: &str) -> Result<(), SearchError> {
    let mut seen = Vec::new();
    for name in names {
        if seen.contains(&name) {
            return Err(SearchError::Twice { kind: "hyperparameters", name: name.to_owned() });
        }
        seen.push(name);
    }
    if seen.is_empty() {
        return Err(SearchError::Empty { what: what.to_owned(), expected: "hyperparameter" });
    }
    Ok(())
}

fn check_choices(name: &str, values: &[Value]) -> Result<(), SearchError> {
    if values.is_empty() {
        return Err(SearchError::Empty { what: format!("the list of values of `{name}`"), expected: "value" });
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(SearchError::range(name, "finite numbers", value)),
        None => Ok(()),
    }
}

/// The points, each once.
fn different(points: Vec<Vec<(String, Value)>>) -> Vec<HyperParameters> {
    let mut seen = std::collections::HashSet::new();
    let points = points.into_iter().map(HyperParameters::new);
    points.filter(|point| seen.insert(point.key())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_grid_is_every_combination_in_order() {
        let grid = GridSearch::new().values("a", [1, 2]).values("b", ["x", "y"]).values("c", [true]);
        let points: Vec<String> = grid.points().unwrap().iter().map(ToString::to_string).collect();
        let expected = ["a: 1, b: x, c: true", "a: 1, b: y, c: true", "a: 2, b: x, c: true", "a: 2, b: y, c: true"];
        assert_eq!(points, expected);
        // A value given twice is tried once; 1 and 1.0 are two values.
        let grid = GridSearch::new().values("a", [Value::from(1), 1.0.into(), 1.into()]);
        assert_eq!(grid.points().unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_tried_is_an_error() {
        let grid = |grid: GridSearch| grid.points().unwrap_err().to_string();
        assert_eq!(grid(GridSearch::new()), "the grid is empty, expected at least 1 hyperparameter");
        assert_eq!(
            grid(GridSearch::new().values("a", [0; 0])),
            "the list of values of `a` is empty, expected at least 1 value"
        );
        assert_eq!(grid(GridSearch::new().values("a", [0.1, f64::NAN])), "`a` is NaN, expected finite numbers");
        assert_eq!(
            grid(GridSearch::new().values("a", [1]).values("a", [2])),
            "there are two hyperparameters named `a`, expected different names"
        );
        let many = || 0..1000;
        assert_eq!(
            grid(GridSearch::new().values("a", many()).values("b", many()).values("c", many())),
            "`the grid` is 1000000000, expected at most 1000000 combinations"
        );
        let random = |random: RandomSearch| random.points().unwrap_err().to_string();
        let some = || RandomSearch::new(3);
        assert_eq!(random(some()), "the random search is empty, expected at least 1 hyperparameter");
        assert_eq!(random(some().trials(0).integer("a", 1, 2)), "`trials` is 0, expected from 1 to 1000000");
        assert_eq!(
            random(some().uniform("a", 2.0, 1.0)),
            "`a` is uniform from 2 to 1, expected finite numbers in ascending order"
        );
        assert_eq!(
            random(some().log_uniform("a", 0.0, 1.0)),
            "`a` is log-uniform from 0 to 1, expected finite numbers above 0 in ascending order"
        );
        assert_eq!(random(some().integer("a", 2, 1)), "`a` is from 2 to 1, expected whole numbers in ascending order");
        let empty: [f64; 0] = [];
        assert!(random(some().choice("a", empty)).contains("is empty"));
        assert!(some().uniform("a", f64::MIN, f64::MAX).points().is_err());
        assert!(some().uniform("a", f64::NAN, 1.0).points().is_err());
    }

    /// The distributions by their quartiles: with 4000 draws a share of ¼ deviates by √(¼·¾/4000) ≈ 0.0068.
    #[test]
    fn draws_follow_their_distributions() {
        let search = RandomSearch::new(4000).seed(3);
        let search = search.uniform("u", -1.0, 3.0).log_uniform("l", 1e-4, 1.0).integer("i", -2, 5);
        let search = search.choice("c", ["a", "b", "c", "d"]);
        let points = search.points().unwrap();
        let share = |below: &dyn Fn(&HyperParameters) -> bool| {
            points.iter().filter(|point| below(point)).count() as f64 / points.len() as f64
        };
        for quarter in 1..4 {
            let expected = f64::from(quarter) / 4.0;
            let found = [
                share(&|point| point.float("u").unwrap() < -1.0 + f64::from(quarter)),
                share(&|point| point.float("l").unwrap() < 10_f64.powi(quarter - 4)),
                share(&|point| point.float("i").unwrap() < f64::from(2 * quarter - 2)),
                share(&|point| point.text("c").unwrap() < ["b", "c", "d"][quarter as usize - 1]),
            ];
            assert!(found.iter().all(|found| (found - expected).abs() < 0.04), "{quarter}: {found:?}");
        }
    }

    #[test]
    fn seeds_decide_the_draws() {
        let points = |seed| RandomSearch::new(5).seed(seed).uniform("a", 0.0, 1.0).points().unwrap();
        assert_eq!(points(1), points(1));
        assert_ne!(points(1), points(2));
        // Only three points there are.
        assert_eq!(RandomSearch::new(100).integer("a", 1, 3).points().unwrap().len(), 3);
    }

    proptest! {
        #[test]
        fn draws_keep_their_bounds(
            seed: u64, ends: [i64; 2], low in -1e300_f64..1e300, span in 0.0_f64..1e300, small in 1e-300_f64..1e300,
        ) {
            let [from, to] = [ends[0].min(ends[1]), ends[0].max(ends[1])];
            let search = RandomSearch::new(20).seed(seed).integer("i", from, to).uniform("u", low, low + span);
            let search = search.log_uniform("l", small, small * 3.0);
            for point in search.points().unwrap() {
                let Some(Value::Integer(i)) = point.get("i") else { panic!("{point}") };
                prop_assert!((from..=to).contains(i));
                prop_assert!((low..=low + span).contains(&point.float("u").unwrap()));
                prop_assert!((small..=small * 3.0).contains(&point.float("l").unwrap()));
            }
        }
    }
}
