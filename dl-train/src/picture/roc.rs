//! The ROC curve: true positive rate over false positive rate.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::style::{BEST, COLORS, GRID, TEXT, failed, text};
use super::{Drawing, Picture};
use crate::TrainError;
use crate::metrics::{BinaryScores, CurvePoint};

#[derive(Debug, Clone)]
pub(super) struct Roc {
    curve: Vec<CurvePoint>,
    auc: f64,
    best: CurvePoint,
}

impl Picture {
    /// The ROC curve of scores, with its area and the threshold of the highest Youden's J.
    ///
    /// # Errors
    /// If there are no examples of one of the two classes.
    pub fn roc(scores: &BinaryScores) -> Result<Self, TrainError> {
        let (curve, auc, chosen) = (scores.curve()?, scores.auc()?, scores.youden()?);
        let best = curve.iter().find(|point| point.threshold == chosen.threshold);
        let best = *best.ok_or(TrainError::NothingToPlot)?;
        Ok(Self { size: (520, 560), drawing: Drawing::Roc(Roc { curve, auc, best }) })
    }
}

impl Roc {
    pub(super) fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), TrainError> {
        let (header, body) = area.split_vertically(64);
        let words = format!("ROC curve: area {:.3}", self.auc);
        header.draw(&Text::new(words, (80, 12), text(19))).map_err(failed)?;
        header.draw(&Circle::new((86, 49), 6, BEST.stroke_width(2))).map_err(failed)?;
        let CurvePoint { threshold, true_positive_rate: found, false_positive_rate: alarms, .. } = self.best;
        let words =
            format!("threshold {threshold:.3}: {:.1} % found, {:.1} % false alarms", 100.0 * found, 100.0 * alarms);
        header.draw(&Text::new(words, (100, 42), text(14))).map_err(failed)?;

        let mut chart = ChartBuilder::on(&body)
            .margin_left(16)
            .margin_right(24)
            .margin_bottom(10)
            .margin_top(4)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc("false positive rate")
            .y_desc("true positive rate")
            .x_labels(6)
            .y_labels(6)
            .axis_style(TEXT)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .label_style(text(14))
            .axis_desc_style(text(15))
            .draw()
            .map_err(failed)?;
        let chance = DashedLineSeries::new([(0.0, 0.0), (1.0, 1.0)], 4, 4, TEXT.stroke_width(1));
        chart.draw_series(chance).map_err(failed)?;
        let points = self.curve.iter().map(|point| (point.false_positive_rate, point.true_positive_rate));
        chart.draw_series(LineSeries::new(points, COLORS[0].stroke_width(2))).map_err(failed)?;
        chart.draw_series([Circle::new((alarms, found), 6, BEST.stroke_width(2))]).map_err(failed)?;
        Ok(())
    }
}
