//! Emotion and apparent gender of faces in a camera's images.
#![deny(missing_docs)]

pub mod architecture;
