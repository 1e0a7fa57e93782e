//! Colours, text and errors that pictures share.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::TrainError;

/// Told apart by colour-blind readers too (Okabe and Ito, 2008).
pub(super) const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
pub(super) const BEST: RGBColor = RGBColor(0, 128, 96);
pub(super) const TEXT: RGBColor = RGBColor(51, 51, 51);
pub(super) const GRID: RGBColor = RGBColor(228, 228, 228);

/// The colour of that number; they repeat.
pub(super) fn color(number: usize) -> RGBColor {
    COLORS[number % COLORS.len()]
}

/// A colour between white, at 0, and `color`, at 1.
pub(super) fn shade(color: RGBColor, share: f64) -> RGBColor {
    let mix = |channel: u8| (255.0 + share.clamp(0.0, 1.0) * (f64::from(channel) - 255.0)).round() as u8;
    RGBColor(mix(color.0), mix(color.1), mix(color.2))
}

pub(super) fn text(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&TEXT)
}

/// Draws words at a place: the middle of their left edge, of themselves or of their right edge.
pub(super) fn write<B: DrawingBackend>(
    area: &DrawingArea<B, Shift>,
    words: &str,
    at: (i32, i32),
    side: HPos,
    style: TextStyle<'_>,
) -> Result<(), TrainError> {
    area.draw(&Text::new(words.to_owned(), at, style.pos(Pos::new(side, VPos::Center)))).map_err(failed)
}

/// Words of at most that many characters.
pub(super) fn shortened(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        return words.to_owned();
    }
    words.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

pub(super) fn failed(error: impl std::fmt::Display) -> TrainError {
    TrainError::Plot { reason: error.to_string() }
}

/// Gives the plotting library its font, once.
#[cfg(feature = "png")]
pub(super) fn prepare() -> Result<(), TrainError> {
    use std::sync::OnceLock;
    static READY: OnceLock<bool> = OnceLock::new();
    let register = || {
        let bytes = epaint_default_fonts::UBUNTU_LIGHT;
        plotters::style::register_font("sans-serif", FontStyle::Normal, bytes).is_ok()
    };
    if *READY.get_or_init(register) { Ok(()) } else { Err(failed("the font could not be read")) }
}

/// The drawing program has fonts.
#[cfg(not(feature = "png"))]
pub(super) fn prepare() -> Result<(), TrainError> {
    Ok(())
}
