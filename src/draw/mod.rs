//! Everything that draws: boxes and labels over a frame, saliency, contact sheets.

mod caption;
mod dashes;
mod explanation;
mod faces;
mod saliency;
mod sheet;

pub use caption::caption_place;
pub use explanation::{explanation_row, explanation_tiles};
pub use faces::draw_faces;
pub use saliency::{display, draw_saliency, heat_map, picture_of, stretched};
pub use sheet::{Row, Tile, draw_sheet};
