//! Filters of a convolution as small images: one for each, blue where weights are negative, vermilion where positive.

use dl_runtime::Tensors;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::style::{COLORS, failed, shade, text, write};
use super::{Drawing, Picture};
use crate::TrainError;

const LEFT: i32 = 24;
const TOP: i32 = 66;
const GAP: i32 = 8;

#[derive(Debug, Clone)]
pub(super) struct Filters {
    /// Row by row, one filter behind the other; each is the sum over its input channels.
    weights: Vec<f32>,
    height: usize,
    width: usize,
    columns: usize,
    pixel: i32,
}

impl Picture {
    /// The filters of the first layer: the first parameter of rank 4 (output channels, input channels, height, width). Those
    /// of several input channels are summed over them.
    ///
    /// # Errors
    /// If there is no such parameter, it has more than 1024 filters, or one is larger than 64 by 64.
    pub fn first_layer_filters<T: Tensors>(parameters: &T) -> Result<Self, TrainError> {
        let found = T::TENSORS.iter().find(|info| info.dims.len() == 4);
        let missing = || TrainError::setting("parameters", "one of rank 4, of a convolution", "without such");
        let info = found.ok_or_else(missing)?;
        Self::filters(parameters.tensor(info.name).unwrap_or_default(), [0, 1, 2, 3].map(|axis| info.dims[axis]))
    }

    /// Filters given flat, by output channels, input channels, height and width.
    ///
    /// # Errors
    /// If their number does not fit the dimensions, and as above.
    pub fn filters(weights: &[f32], [filters, channels, height, width]: [usize; 4]) -> Result<Self, TrainError> {
        let dims = || format!("[{filters}, {channels}, {height}, {width}]");
        if !(1..=1024).contains(&filters)
            || ![height, width].iter().all(|side| (1..=64).contains(side))
            || channels == 0
        {
            return Err(TrainError::setting("dims", "1 to 1024 filters of 1 to 64 by 1 to 64", dims()));
        }
        let plane = height * width;
        let expected = filters.saturating_mul(channels).saturating_mul(plane);
        if weights.len() != expected {
            return Err(TrainError::Length { name: "weights", expected, found: weights.len() });
        }
        let sum = |filter: &[f32]| {
            (0..plane).map(|at| filter.iter().skip(at).step_by(plane).sum::<f32>()).collect::<Vec<f32>>()
        };
        let weights = weights.chunks(channels * plane).flat_map(sum).collect();
        let columns = (filters as f64).sqrt().ceil() as usize;
        let pixel = (480 / (columns * width) as i32).clamp(2, 16);
        let across = columns as i32 * (pixel * width as i32 + GAP);
        let down = filters.div_ceil(columns) as i32 * (pixel * height as i32 + GAP);
        let size = ((2 * LEFT + across.max(360)) as u32, (TOP + down + 16) as u32);
        Ok(Self { size, drawing: Drawing::Filters(Filters { weights, height, width, columns, pixel }) })
    }
}

impl Filters {
    pub(super) fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), TrainError> {
        let Self { weights, height, width, columns, pixel } = self;
        let finite = weights.iter().filter(|weight| weight.is_finite());
        let largest = finite.map(|weight| weight.abs()).fold(0.0, f32::max);
        write(area, "Filters of the first layer", (LEFT, 22), HPos::Left, text(19))?;
        let words = format!("vermilion positive, blue negative, up to {largest:.3}");
        write(area, &words, (LEFT, 48), HPos::Left, text(14))?;
        for (number, filter) in weights.chunks(height * width).enumerate() {
            let x = LEFT + (number % columns) as i32 * (pixel * *width as i32 + GAP);
            let y = TOP + (number / columns) as i32 * (pixel * *height as i32 + GAP);
            for (row, weights) in filter.chunks(*width).enumerate() {
                for (column, &weight) in weights.iter().enumerate() {
                    let (x, y) = (x + pixel * column as i32, y + pixel * row as i32);
                    // All zeros, and what is not finite, are white.
                    let share = f64::from(weight / largest.max(f32::MIN_POSITIVE));
                    let share = if share.is_finite() { share } else { 0.0 };
                    let fill = shade(COLORS[usize::from(share > 0.0)], share.abs());
                    area.draw(&Rectangle::new([(x, y), (x + pixel, y + pixel)], fill.filled())).map_err(failed)?;
                }
            }
            let frame = [(x, y), (x + pixel * *width as i32, y + pixel * *height as i32)];
            area.draw(&Rectangle::new(frame, shade(BLACK, 0.4))).map_err(failed)?;
        }
        Ok(())
    }
}
