//! The decision boundary of a network of two inputs: the class of every point of the plane, and examples on it.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{TEXT, color, failed, shade, text};
use super::{Drawing, Picture};
use crate::TrainError;
use crate::metrics::MetricError;

/// The plane is divided into so many columns and rows.
const CELLS: usize = 160;

#[derive(Debug, Clone)]
pub(super) struct Boundary {
    points: Vec<[f32; 2]>,
    labels: Vec<u32>,
    low: [f64; 2],
    high: [f64; 2],
    /// Row by row, from the lowest.
    classes: Vec<u32>,
}

impl Picture {
    /// The class that `predict` gives every point of the plane around `points`, which are drawn in the colours of their
    /// `labels`. `predict` is called once, for 25,600 points.
    ///
    /// # Errors
    /// Those of `predict`; if there are no points, one is not finite, or lengths differ.
    pub fn decision_boundary<E: Into<TrainError>>(
        points: &[[f32; 2]],
        labels: &[u32],
        predict: impl FnOnce(&[[f32; 2]]) -> Result<Vec<u32>, E>,
    ) -> Result<Self, TrainError> {
        if points.len() != labels.len() {
            return Err(TrainError::Length { name: "labels", expected: points.len(), found: labels.len() });
        }
        if let Some(example) = points.iter().position(|point| !point.iter().all(|value| value.is_finite())) {
            let found = if points[example][0].is_finite() { points[example][1] } else { points[example][0] };
            return Err(MetricError::NotFinite { name: "points", example, found }.into());
        }
        let (mut low, mut high) = ([0.0; 2], [0.0; 2]);
        for axis in 0..2 {
            let values = || points.iter().map(|point| f64::from(point[axis]));
            let least = values().reduce(f64::min).ok_or(TrainError::NoExamples { set: "point" })?;
            let largest = values().reduce(f64::max).ok_or(TrainError::NoExamples { set: "point" })?;
            // Within what is an f32, and never of width 0.
            let margin = (0.08 * (largest - least)).max(1e-6 * least.abs().max(largest.abs()).max(1e-3));
            low[axis] = (least - margin).max(f64::from(f32::MIN));
            high[axis] = (largest + margin).min(f64::from(f32::MAX));
        }
        let place = |axis: usize, cell: usize| {
            (low[axis] + (high[axis] - low[axis]) * (cell as f64 + 0.5) / CELLS as f64) as f32
        };
        let grid = (0..CELLS).flat_map(|row| (0..CELLS).map(move |column| [place(0, column), place(1, row)]));
        let classes = predict(&grid.collect::<Vec<_>>()).map_err(Into::into)?;
        if classes.len() != CELLS * CELLS {
            return Err(TrainError::Length { name: "predictions", expected: CELLS * CELLS, found: classes.len() });
        }
        let boundary = Boundary { points: points.to_vec(), labels: labels.to_vec(), low, high, classes };
        Ok(Self { size: (560, 580), drawing: Drawing::Boundary(boundary) })
    }
}

impl Boundary {
    pub(super) fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), TrainError> {
        let (header, body) = area.split_vertically(40);
        header.draw(&Text::new("Decision boundary", (70, 12), text(19))).map_err(failed)?;
        let ([left, bottom], [right, top]) = (self.low, self.high);
        let mut chart = ChartBuilder::on(&body)
            .margin_left(10)
            .margin_right(24)
            .margin_bottom(10)
            .margin_top(4)
            .x_label_area_size(36)
            .y_label_area_size(60)
            .build_cartesian_2d(left..right, bottom..top)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_labels(6)
            .y_labels(6)
            .axis_style(TEXT)
            .label_style(text(14))
            .draw()
            .map_err(failed)?;
        // Pixels rather than numbers of the axes: neighbours meet without gaps.
        let plane = chart.plotting_area();
        let (width, height) = ((right - left) / CELLS as f64, (top - bottom) / CELLS as f64);
        for (row, cells) in self.classes.chunks(CELLS).enumerate() {
            let y = bottom + row as f64 * height;
            let mut column = 0;
            for run in cells.chunk_by(|a, b| a == b) {
                let corners =
                    [(left + column as f64 * width, y), (left + (column + run.len()) as f64 * width, y + height)];
                let fill = shade(color(run[0] as usize), 0.3).filled();
                plane.draw(&Rectangle::new(corners, fill)).map_err(failed)?;
                column += run.len();
            }
        }
        for (point, &label) in self.points.iter().zip(&self.labels) {
            let at = (f64::from(point[0]), f64::from(point[1]));
            plane.draw(&Circle::new(at, 4, WHITE.filled())).map_err(failed)?;
            plane.draw(&Circle::new(at, 3, color(label as usize).filled())).map_err(failed)?;
        }
        Ok(())
    }
}
