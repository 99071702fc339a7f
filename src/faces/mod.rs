//! Finds faces in frames, with Haar cascades and with a search network, and follows them over time.

mod appearance;
mod association;
mod bounding_box;
mod cascades;
mod detection;
mod finder;
mod flow;
mod haar;
mod ids;
mod motion;
mod schedule;
mod search_network;
mod searched;
mod tracks;

pub use bounding_box::BoundingBox;
pub use cascades::Cascades;
pub use detection::{Detection, Landmarks};
pub use finder::{FaceFinder, FinderError, FinderParameters};
pub use haar::{CascadeError, DetectorParameters, HaarDetector, WindowSearch};
pub use ids::{FaceId, FaceIds};
pub use search_network::{Search, SearchError, SearchNetwork, SearchParameters};
pub use tracks::{FoundFace, Tracker, TrackingParameters};
