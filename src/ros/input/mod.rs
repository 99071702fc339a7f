//! From the camera's topic to the newest image.

mod advice;
mod camera_image;
mod frame_clock;
mod handover;
mod native;
mod offers;
mod source;
mod subscription;
mod view;

pub use camera_image::{Received, frame_of, frame_of_message};
pub use source::{ImageSource, Intake};
pub use view::InputView;
