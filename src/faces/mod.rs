//! Finds faces in frames, with Haar cascades and with a search network, and follows them over time.

mod appearance;
mod association;
mod bounding_box;
mod checked_haar;
mod detection;
mod finder;
mod flow;
mod haar;
mod ids;
mod motion;
mod search_network;
mod tracks;

pub use bounding_box::BoundingBox;
pub use checked_haar::{CheckedHaar, CheckedHaarParameters};
pub use detection::{Detection, Landmarks};
pub use finder::FaceFinder;
pub use haar::{CascadeError, DetectorParameters, HaarDetector, WindowSearch};
pub use ids::{FaceId, FaceIds};
pub use search_network::{SearchError, SearchNetwork, SearchParameters};
pub use tracks::{FoundFace, Tracker, TrackingParameters};
