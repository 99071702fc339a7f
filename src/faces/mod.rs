//! Detects faces in grey frames and tracks them over time.

mod bounding_box;
mod finder;
mod haar;
mod tracks;

pub use bounding_box::BoundingBox;
pub use finder::{FaceFinder, FoundFace};
pub use haar::{CascadeError, DetectorParameters, HaarDetector};
pub use tracks::{FaceId, FaceIds, MAX_AGE, Tracker};
