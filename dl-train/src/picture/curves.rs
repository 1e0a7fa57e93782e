//! Drawing of curves over epochs: points enter, a picture of 720 by 440 pixels leaves.
//!
//! Ticks are whole epochs and round values; the legend stands above the plot, where no curve can run into it. A
//! short curve shows its points. Values that are not finite are left out. Nothing here touches files.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;

use super::style::{BEST, COLORS, GRID, TEXT, failed, text};
use super::{Drawing, Picture};
use crate::TrainError;

/// A line of the figure.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    /// Epoch and value, by ascending epoch.
    pub(crate) points: Vec<(usize, f64)>,
}

/// A figure of one or more curves.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) title: &'static str,
    pub(crate) y_label: &'static str,
    pub(crate) curves: Vec<Curve>,
    /// The epoch to mark, and the value to mark it at.
    pub(crate) best: Option<(usize, f64)>,
    /// What the curves say.
    pub(crate) words: Option<String>,
}

const SIZE: (u32, u32) = (720, 440);
const HEADER_HEIGHT: u32 = 64;
/// A line of words below the legend.
const WORDS_HEIGHT: u32 = 24;
/// Where the plot begins, and title and legend above it.
const PLOT_LEFT: i32 = 80;
const MARGIN_LEFT: i32 = 16;
const LEGEND_WIDTH: i32 = 180;
/// Up to this many epochs each point is drawn as a dot as well.
const DOTS: usize = 40;
/// Magnitudes beyond it are left out, so that sums and products of axis limits stay finite.
const LARGEST: f64 = 1e300;

impl Figure {
    pub(crate) fn picture(mut self) -> Picture {
        for curve in &mut self.curves {
            curve.points.retain(|&(_, value)| value.abs() <= LARGEST);
        }
        self.best = self.best.filter(|&(_, value)| value.abs() <= LARGEST);
        Picture { size: SIZE, drawing: Drawing::Curves(self) }
    }

    pub(super) fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), TrainError> {
        let points = || self.curves.iter().flat_map(|curve| curve.points.iter().copied());
        let epochs = Axis::over_epochs(points().map(|(epoch, _)| epoch))?;
        let values = Axis::over_values(points().map(|(_, value)| value))?;

        let below = if self.words.is_some() { WORDS_HEIGHT } else { 0 };
        let (header, body) = area.split_vertically(HEADER_HEIGHT + below);
        self.draw_header(&header)?;

        let mut chart = ChartBuilder::on(&body)
            .margin_left(MARGIN_LEFT)
            .margin_right(24)
            .margin_bottom(10)
            .x_label_area_size(46)
            .y_label_area_size(PLOT_LEFT - MARGIN_LEFT)
            .build_cartesian_2d(epochs, values.clone())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .y_desc(self.y_label)
            .x_label_formatter(&|&epoch| format!("{epoch:.0}"))
            .y_label_formatter(&|&value| values.label(value))
            .axis_style(TEXT)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(text(14))
            .axis_desc_style(text(15))
            .draw()
            .map_err(failed)?;

        if let Some((epoch, _)) = self.best {
            let line = [(epoch as f64, values.low), (epoch as f64, values.high)];
            chart.draw_series(DashedLineSeries::new(line, 4, 4, BEST.stroke_width(1))).map_err(failed)?;
        }
        for (curve, color) in self.curves.iter().zip(COLORS) {
            let points = || curve.points.iter().map(|&(epoch, value)| (epoch as f64, value));
            chart.draw_series(LineSeries::new(points(), color.stroke_width(2))).map_err(failed)?;
            if curve.points.len() <= DOTS {
                let dots = points().map(|point| Circle::new(point, 3, color.filled()));
                chart.draw_series(dots).map_err(failed)?;
            }
        }
        if let Some((epoch, value)) = self.best {
            let ring = Circle::new((epoch as f64, value), 6, BEST.stroke_width(2));
            chart.draw_series([ring]).map_err(failed)?;
        }
        Ok(())
    }

    /// Title, and below it the legend in columns of a fixed width.
    fn draw_header<B: DrawingBackend>(&self, header: &DrawingArea<B, Shift>) -> Result<(), TrainError> {
        let label = |words: String, x: i32, y: i32, size: i32| {
            header.draw(&Text::new(words, (x, y), text(size))).map_err(failed)
        };
        let mut x = PLOT_LEFT;
        label(self.title.to_string(), x, 12, 19)?;
        for (curve, color) in self.curves.iter().zip(COLORS) {
            let line = PathElement::new([(x, 49), (x + 22, 49)], color.stroke_width(2));
            header.draw(&line).map_err(failed)?;
            label(curve.name.to_string(), x + 30, 42, 14)?;
            x += LEGEND_WIDTH;
        }
        if let Some((epoch, _)) = self.best {
            header.draw(&Circle::new((x + 11, 49), 6, BEST.stroke_width(2))).map_err(failed)?;
            label(format!("best epoch: {epoch}"), x + 30, 42, 14)?;
        }
        if let Some(words) = &self.words {
            label(words.clone(), PLOT_LEFT, 66, 14)?;
        }
        Ok(())
    }
}

/// The limits of an axis and the places of its labels.
#[derive(Clone)]
struct Axis {
    low: f64,
    high: f64,
    step: f64,
    ticks: Vec<f64>,
}

impl Axis {
    /// Whole epochs, at most about ten of them labelled.
    fn over_epochs(epochs: impl Iterator<Item = usize> + Clone) -> Result<Self, TrainError> {
        let first = epochs.clone().min().ok_or(TrainError::NothingToPlot)?;
        let last = epochs.max().ok_or(TrainError::NothingToPlot)?;
        let step = nice_step((last - first) as f64 / 10.0).max(1.0);
        let mut axis = Self::new(first as f64, last as f64, step);
        // The first epoch is labelled wherever the next label leaves room for it.
        if axis.ticks.first().is_none_or(|&tick| tick - axis.low > 0.4 * step) {
            axis.ticks.insert(0, axis.low);
        }
        if first == last {
            axis.low -= 0.5;
            axis.high += 0.5;
        }
        Ok(axis)
    }

    /// From 0, or from just below the lowest value if that is negative; about six labels.
    fn over_values(values: impl Iterator<Item = f64> + Clone) -> Result<Self, TrainError> {
        let highest = values.clone().reduce(f64::max).ok_or(TrainError::NothingToPlot)?;
        let lowest = values.reduce(f64::min).ok_or(TrainError::NothingToPlot)?.min(0.0);
        let top = highest.max(0.0);
        let range = top - lowest;
        if range < 1e-300 {
            return Ok(Self::new(0.0, 1.0, 0.2));
        }
        let high = if top > 0.0 { top + 0.05 * range } else { 0.0 };
        let low = if lowest < 0.0 { lowest - 0.05 * range } else { 0.0 };
        Ok(Self::new(low, high, nice_step((high - low) / 6.0)))
    }

    /// With a tick at each multiple of `step`.
    fn new(low: f64, high: f64, step: f64) -> Self {
        let (first, last) = ((low / step).ceil(), (high / step + 1e-9).floor());
        let count = (last - first).clamp(0.0, 50.0) as usize;
        let ticks = (0..=count).map(|i| (first + i as f64) * step).collect();
        Self { low, high, step, ticks }
    }

    /// With as many decimals as tell two ticks apart, or with a power of ten where that would be long.
    fn label(&self, value: f64) -> String {
        let power = self.step.log10().floor();
        if value == 0.0 {
            "0".to_string()
        } else if (-5.0..6.0).contains(&power) {
            format!("{value:.*}", (-power).max(0.0) as usize)
        } else {
            let digits = (value / 10_f64.powf(power)).round();
            let shift = digits.abs().log10().floor();
            format!("{}e{}", digits / 10_f64.powf(shift), power + shift)
        }
    }
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        (f64::from(start) + share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

/// The smallest of 1, 2, 5 × a power of ten that is not below `step`.
fn nice_step(step: f64) -> f64 {
    if step <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().find(|&nice| nice >= step * 0.999).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
    }

    fn over_values(values: &[f64]) -> Axis {
        Axis::over_values(values.iter().copied()).unwrap()
    }

    #[test]
    fn value_labels_are_round() {
        assert_eq!(labels(&over_values(&[2.1, 0.3])), ["0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(labels(&over_values(&[0.5])), ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(labels(&over_values(&[900.0, 20.0])), ["0", "200", "400", "600", "800"]);
        assert_eq!(labels(&over_values(&[2e-8])), ["0", "5e-9", "1e-8", "1.5e-8", "2e-8"]);
        assert_eq!(labels(&over_values(&[-3.0, 1.0])), ["-3", "-2", "-1", "0", "1"]);
        assert_eq!(labels(&over_values(&[0.0])), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }

    #[test]
    fn epoch_ticks_are_whole() {
        let ticks = |last: usize| Axis::over_epochs(1..=last).unwrap().ticks;
        assert_eq!(ticks(1), [1.0]);
        assert_eq!(ticks(3), [1.0, 2.0, 3.0]);
        assert_eq!(ticks(12), [1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0]);
        assert_eq!(ticks(200)[..3], [1.0, 20.0, 40.0]);
        assert_eq!(ticks(200).last(), Some(&200.0));
    }

    #[test]
    fn nothing_finite_is_an_error() {
        for points in [vec![], vec![(1, f64::NAN), (2, f64::INFINITY)]] {
            let curves = vec![Curve { name: "loss", points }];
            let figure = Figure { title: "", y_label: "", curves, best: Some((1, f64::NAN)), words: None };
            assert!(matches!(figure.picture().svg(), Err(TrainError::NothingToPlot)));
        }
    }

    /// The polyline's points, in pixels.
    fn polyline(svg: &str) -> Vec<(f64, f64)> {
        let (_, rest) = svg.rsplit_once("<polyline").unwrap();
        let (_, rest) = rest.split_once("points=\"").unwrap();
        let pairs = rest.split_once('"').unwrap().0.split_whitespace();
        pairs
            .map(|pair| {
                let (x, y) = pair.split_once(',').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn a_falling_loss_falls_on_paper() {
        let points = vec![(1, 2.0), (2, 1.0), (3, 0.0)];
        let curves = vec![Curve { name: "training loss", points }];
        let svg = Figure { title: "T", y_label: "loss", curves, best: None, words: None }.picture().svg().unwrap();
        let [(x1, y1), (x2, y2), (x3, y3)] = polyline(&svg)[..] else {
            panic!("three points expected: {svg}");
        };
        assert!((x3 - x2 - (x2 - x1)).abs() <= 1.0 && x2 > x1 + 100.0);
        assert!((y3 - y2 - (y2 - y1)).abs() <= 1.0 && y2 > y1 + 50.0);
    }

    proptest! {
        /// Whatever the values: few ticks, all within the axis, and every point on the paper.
        #[test]
        fn any_history_can_be_drawn(
            values in proptest::collection::vec(prop_oneof![any::<f64>(), -10.0..10.0, Just(0.0)], 1..60),
        ) {
            let points: Vec<(usize, f64)> = (1..).zip(values).collect();
            let finite = points.iter().filter(|(_, value)| value.abs() <= LARGEST);
            prop_assume!(finite.clone().count() > 1);
            let axis = Axis::over_values(finite.map(|&(_, value)| value)).unwrap();
            prop_assert!((2..=10).contains(&axis.ticks.len()), "{:?}", axis.ticks);
            let slack = (axis.high - axis.low) * 1e-6;
            prop_assert!(axis.ticks.iter().all(|&t| t >= axis.low - slack && t <= axis.high + slack));
            prop_assert!(labels(&axis).iter().all(|label| label.len() <= 9), "{:?}", labels(&axis));
            let curves = vec![Curve { name: "training loss", points }];
            let svg = Figure { title: "T", y_label: "loss", curves, best: None, words: None }.picture().svg().unwrap();
            for (x, y) in polyline(&svg) {
                prop_assert!((0.0..=f64::from(SIZE.0)).contains(&x) && (0.0..=f64::from(SIZE.1)).contains(&y));
            }
        }
    }
}
