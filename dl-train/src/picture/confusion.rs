//! The confusion matrix: a row for each label, a column for each prediction, shaded by their share of the row.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::style::{COLORS, failed, shade, shortened, text, write};
use super::{Drawing, Picture};
use crate::TrainError;
use crate::metrics::ConfusionMatrix;

#[derive(Debug, Clone)]
pub(super) struct Confusion {
    matrix: ConfusionMatrix,
    names: Vec<String>,
    cell: i32,
}

/// Where the cells begin.
const LEFT: i32 = 130;
const TOP: i32 = 90;

impl Picture {
    /// A confusion matrix of at most 50 classes. Without names, classes are numbers.
    ///
    /// # Errors
    /// If there are more classes, or names of some only.
    pub fn confusion_matrix(matrix: &ConfusionMatrix, names: &[&str]) -> Result<Self, TrainError> {
        let classes = matrix.classes();
        if classes > 50 {
            return Err(TrainError::setting("classes", "at most 50 in a picture", classes));
        }
        let names: Vec<String> = match names.len() {
            0 => (0..classes).map(|class| class.to_string()).collect(),
            found if found == classes => names.iter().map(|name| shortened(name, 12)).collect(),
            found => return Err(TrainError::Length { name: "names", expected: classes, found }),
        };
        let cell = (440 / classes as i32).clamp(18, 90);
        let side = cell * classes as i32;
        let size = ((LEFT + side.max(300) + 24) as u32, (TOP + side + 30) as u32);
        Ok(Self { size, drawing: Drawing::Confusion(Confusion { matrix: matrix.clone(), names, cell }) })
    }
}

impl Confusion {
    pub(super) fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), TrainError> {
        let (classes, cell) = (self.names.len(), self.cell);
        write(area, "Confusion matrix", (LEFT, 22), HPos::Left, text(19))?;
        write(area, "predicted class", (LEFT, 50), HPos::Left, text(14))?;
        write(area, "true class", (LEFT - 10, 50), HPos::Right, text(14))?;
        let letters = (cell / 7).max(2) as usize;
        let at = |index: usize| cell * index as i32;
        for (index, name) in self.names.iter().enumerate() {
            let middle = at(index) + cell / 2;
            write(area, &shortened(name, letters), (LEFT + middle, TOP - 14), HPos::Center, text(13))?;
            write(area, name, (LEFT - 10, TOP + middle), HPos::Right, text(13))?;
        }
        for label in 0..classes {
            let all: u64 = (0..classes).map(|class| self.matrix.count(label, class)).sum();
            for prediction in 0..classes {
                let (x, y) = (LEFT + at(prediction), TOP + at(label));
                let count = self.matrix.count(label, prediction);
                let share = count as f64 / all.max(1) as f64;
                let fill = shade(COLORS[0], share).filled();
                let corners = [(x, y), (x + cell - 1, y + cell - 1)];
                area.draw(&Rectangle::new(corners, fill)).map_err(failed)?;
                area.draw(&Rectangle::new(corners, shade(BLACK, 0.15))).map_err(failed)?;
                let size = (cell / 3).clamp(8, 18);
                let ink = if share > 0.55 { WHITE } else { shade(BLACK, 0.8) };
                let digits = count.to_string();
                // A number that its cell has no room for is left to the shade.
                if count == 0 || digits.len() as i32 * size * 6 / 10 > cell - 2 {
                    continue;
                }
                let (middle_x, middle_y) = (x + cell / 2, y + cell / 2);
                let raised = if cell >= 40 { middle_y - size / 2 } else { middle_y };
                write(area, &digits, (middle_x, raised), HPos::Center, text(size).color(&ink))?;
                if cell >= 40 {
                    let words = format!("{:.0} %", 100.0 * share);
                    let style = text((size * 3 / 4).max(10)).color(&ink);
                    write(area, &words, (middle_x, middle_y + size / 2 + 2), HPos::Center, style)?;
                }
            }
        }
        Ok(())
    }
}
