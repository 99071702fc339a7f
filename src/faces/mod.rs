//! Detects faces in frames, with Haar cascades or with a search network, and tracks them over time.

mod bounding_box;
mod checked_haar;
mod detection;
mod finder;
mod haar;
mod search_network;
mod tracks;

pub use bounding_box::BoundingBox;
pub use checked_haar::{CheckedHaar, CheckedHaarParameters};
pub use detection::{Detection, Landmarks};
pub use finder::{FaceFinder, FoundFace};
pub use haar::{CascadeError, DetectorParameters, HaarDetector, WindowSearch};
pub use search_network::{SearchError, SearchNetwork, SearchParameters};
pub use tracks::{FaceId, FaceIds, MAX_AGE, Tracker};
