//! From the camera's topic to the newest image.

mod image;
mod subscription;

pub use image::{Received, frame_of};
pub use subscription::{forward_newest, image_qos};
