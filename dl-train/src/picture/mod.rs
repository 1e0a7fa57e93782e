//! Pictures of training and of what was learned, as SVG and PNG.
//!
//! [`History`](crate::History) draws curves over epochs; this module holds what a picture is, and those of metrics and
//! parameters. The type of a file follows its ending. PNG needs the feature `png`, which is among the default ones, and
//! brings a font of its own; an SVG is shown in the fonts of its reader.

mod boundary;
mod confusion;
pub(crate) mod curves;
mod filters;
mod roc;
mod style;

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::TrainError;
use crate::history::write;
use style::failed;

/// A picture, not yet drawn.
#[derive(Debug, Clone)]
pub struct Picture {
    size: (u32, u32),
    drawing: Drawing,
}

#[derive(Debug, Clone)]
enum Drawing {
    Boundary(boundary::Boundary),
    Confusion(confusion::Confusion),
    Curves(curves::Figure),
    Filters(filters::Filters),
    Roc(roc::Roc),
}

impl Picture {
    /// Its width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// As the text of an SVG file.
    ///
    /// # Errors
    /// If there is nothing to draw, or the library fails to, as for all functions below.
    pub fn svg(&self) -> Result<String, TrainError> {
        style::prepare()?;
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            self.draw(&area)?;
            area.present().map_err(failed)?;
        }
        Ok(svg)
    }

    /// As the bytes of a PNG file.
    #[cfg(feature = "png")]
    pub fn png(&self) -> Result<Vec<u8>, TrainError> {
        style::prepare()?;
        let (width, height) = self.size;
        let mut pixels = vec![255; width as usize * height as usize * 3];
        {
            let area = BitMapBackend::with_buffer(&mut pixels, self.size).into_drawing_area();
            self.draw(&area)?;
            area.present().map_err(failed)?;
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(&pixels).map_err(failed)?;
        writer.finish().map_err(failed)?;
        Ok(bytes)
    }

    /// Writes it to a file that ends in `.svg` or `.png`. Missing folders are made.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        let path = path.as_ref();
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => write(path, self.svg()?.as_bytes()),
            #[cfg(feature = "png")]
            Some("png") => write(path, &self.png()?),
            _ => Err(TrainError::setting("path", "a name that ends in .svg or .png", path.display())),
        }
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), TrainError> {
        area.fill(&WHITE).map_err(failed)?;
        match &self.drawing {
            Drawing::Boundary(drawing) => drawing.draw(area),
            Drawing::Confusion(drawing) => drawing.draw(area),
            Drawing::Curves(drawing) => drawing.draw(area),
            Drawing::Filters(drawing) => drawing.draw(area),
            Drawing::Roc(drawing) => drawing.draw(area),
        }
    }
}

#[cfg(test)]
mod tests;
