//! Explanations of a face, as the row of a contact sheet.

use super::saliency::display;
use super::sheet::{Row, Tile};
use crate::saliency::Explanation;

/// The crop with the answer, and its saliency with the class that it is for.
///
/// # Errors
/// Only those of OpenCV.
pub fn explanation_tiles(explanation: &Explanation) -> opencv::Result<[Tile; 2]> {
    let Explanation { label, confidence, class, crop, saliency, .. } = explanation;
    Ok([
        Tile { picture: crop.clone(), caption: format!("{label} {:.0}%", 100.0 * confidence) },
        Tile { picture: display(saliency)?, caption: format!("for {class}") },
    ])
}

/// The row of a contact sheet for one face.
///
/// # Errors
/// Only those of OpenCV.
pub fn explanation_row(name: String, explanations: &[Explanation]) -> opencv::Result<Row> {
    let tiles: opencv::Result<Vec<_>> = explanations.iter().map(explanation_tiles).collect();
    Ok(Row { name, tiles: tiles?.into_iter().flatten().collect() })
}
