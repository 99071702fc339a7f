//! Finds faces in camera images and classifies their emotion and apparent gender in real time, after Arriaga, Ploger,
//! Valdenegro, "Real-time Convolutional Neural Networks for Emotion and Gender Classification" (2017).
//!
//! The modules follow the way of an image: [`frame`] -> [`faces`] -> [`attributes`], whose networks run in [`network`]; put
//! together by [`pipeline`]. [`saliency`] explains the answers, [`draw`] shows both. ROS is not needed here: the node is a
//! program of its own in `src/ros`.
//!
//! ```
//! use std::time::Duration;
//!
//! use face_attributes::frame::{ByteOrder, Encoding, Frame};
//! use face_attributes::pipeline::{Pipeline, PipelineParameters};
//!
//! let mut pipeline = Pipeline::load(PipelineParameters::default())?;
//! let pixels = vec![127; 480 * 640];
//! let frame = Frame::new(640, 480, 640, Encoding::Mono8, ByteOrder::LittleEndian, &pixels)?;
//! let scene = pipeline.process(&frame, Duration::from_millis(33))?;
//! assert!(scene.faces.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attributes;
pub mod draw;
pub mod faces;
pub mod frame;
pub mod network;
pub mod panics;
pub mod parameters;
pub mod pipeline;
pub mod runtime;
pub mod saliency;
pub mod view;
