//! Detects faces in grey frames and follows them over time.

mod appearance;
mod association;
mod bounding_box;
mod detection;
mod finder;
mod flow;
mod haar;
mod ids;
mod motion;
mod tracks;

pub use bounding_box::BoundingBox;
pub use detection::{Detection, Landmarks};
pub use finder::FaceFinder;
pub use haar::{CascadeError, DetectorParameters, HaarDetector};
pub use ids::{FaceId, FaceIds};
pub use tracks::{FoundFace, Tracker, TrackingParameters};
