//! Where faces are, as seen from the camera: the direction through the lens, how far away a face is, and how directly it looks at
//! the camera.

mod camera_model;
mod distortion;
mod face_frame;
mod face_size;
mod pose;
mod viewer;

pub use camera_model::{Calibration, CalibrationError, CameraModel, Region};
pub use face_frame::FaceFrame;
pub use face_size::PositionMethod;
pub use viewer::{FaceView, Range, Viewer};
