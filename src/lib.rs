//! Finds faces in camera images and classifies their emotion and apparent gender in real time, after Arriaga, Ploger,
//! Valdenegro, "Real-time Convolutional Neural Networks for Emotion and Gender Classification" (2017).
//!
//! The modules follow the way of an image: [`frame`] -> [`detect`] -> [`track`] -> [`crop`] -> [`model`] ->
//! [`attributes`], put together by [`pipeline`]. ROS is not needed here; the node that wraps this library lives in `ros`,
//! behind the feature of that name.
//!
//! ```
//! use face_attributes::{encoding::{ByteOrder, Encoding}, frame::Frame, parameters::Parameters, pipeline::Pipeline};
//!
//! let mut pipeline = Pipeline::new(Parameters::default())?;
//! let pixels = vec![127; 480 * 640];
//! let frame = Frame::new(640, 480, 640, Encoding::Mono8, ByteOrder::LittleEndian, &pixels)?;
//! assert!(pipeline.process(&frame)?.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod annotate;
pub mod architecture;
pub mod attributes;
pub mod classifier;
pub mod crop;
pub mod dataset;
pub mod detect;
pub mod encoding;
pub mod evaluation;
pub mod frame;
pub mod geometry;
pub mod mean_picture;
pub mod model;
pub mod occlusion;
pub mod panics;
pub mod parameter_file;
pub mod parameters;
pub mod pipeline;
pub mod report;
#[cfg(feature = "ros")]
pub mod ros;
pub mod saliency;
pub mod scene;
pub mod source;
pub mod task;
pub mod track;
