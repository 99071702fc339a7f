//! Where faces are, as seen from the camera: the direction through the lens, how far away a face is, and how directly it looks at
//! the camera.

mod camera_model;
mod distortion;

pub use camera_model::{Calibration, CalibrationError, CameraModel, Region};
