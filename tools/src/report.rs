//! The faces in a picture, as JSON and as text.

use std::fmt;

use serde::Serialize;

use face_attributes::attributes::FaceAttributes;
use face_attributes::attributes::{Attribute, Estimate};
use face_attributes::faces::{BoundingBox, Landmarks};

/// The faces in one picture; serialised as one JSON object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FrameReport {
    /// The file or device of the picture.
    pub file: String,
    /// The number of the picture in the file, from 0.
    pub frame: u64,
    /// Width of the picture in pixels.
    pub width: usize,
    /// Height of the picture in pixels.
    pub height: usize,
    /// The faces, from left to right.
    pub faces: Vec<FaceReport>,
}

/// One face.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaceReport {
    /// Stays the same from frame to frame of a video while the face is tracked.
    pub id: String,
    /// The box of the face, in pixels of the picture.
    pub roi: RoiReport,
    /// Whether the face was detected in this picture; otherwise its place is predicted.
    pub seen: bool,
    /// The time of the first picture with the face, in seconds from the beginning of the video.
    pub followed_since: f64,
    /// How sure the finder was when it saw the face last, 0 to 1.
    pub confidence: f32,
    /// Eyes (left, right in the picture), nose, corners of the mouth (left, right): x and y in pixels. `null` where the
    /// finder gives none.
    pub landmarks: Option<[(f32, f32); 5]>,
    /// The time of the newest picture for which the face was classified, in seconds from the beginning of the video: what holds
    /// over time is from there. `null` before the first.
    pub answered: Option<f64>,
    /// What holds over time; `null` where emotions are not classified.
    pub emotion: Option<EstimateReport>,
    /// What holds over time; `null` where gender is not classified.
    pub gender: Option<EstimateReport>,
    /// The answers for this picture alone.
    pub raw: RawReport,
}

/// The networks' answers for a face in one picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RawReport {
    /// `null` where emotions are not classified, or the face is not seen or waits for its turn.
    pub emotion: Option<EstimateReport>,
    /// `null` where gender is not classified, or the face is not seen or waits for its turn.
    pub gender: Option<EstimateReport>,
}

/// A box in pixels, from the picture's top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as in BoundingBox")]
pub struct RoiReport {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EstimateReport {
    /// The name of the class, or `unknown`.
    pub label: &'static str,
    /// The probability of the label, 0 to 1; where it is unknown, that of the most probable class.
    pub confidence: f32,
    /// One probability per class, in the network's order.
    pub probabilities: Vec<f32>,
}

impl From<&FaceAttributes> for FaceReport {
    fn from(face: &FaceAttributes) -> Self {
        let BoundingBox { x, y, width, height } = face.roi;
        Self {
            id: face.id.to_string(),
            roi: RoiReport { x, y, width, height },
            seen: face.seen,
            followed_since: face.followed_since.as_secs_f64(),
            confidence: face.confidence,
            landmarks: face.landmarks.map(|Landmarks(points)| points),
            answered: face.answered.map(|answered| answered.as_secs_f64()),
            emotion: face.emotion.as_ref().map(EstimateReport::from),
            gender: face.gender.as_ref().map(EstimateReport::from),
            raw: RawReport {
                emotion: face.raw.emotion.as_ref().map(EstimateReport::from),
                gender: face.raw.gender.as_ref().map(EstimateReport::from),
            },
        }
    }
}

impl<A: Attribute> From<&Estimate<A>> for EstimateReport {
    fn from(estimate: &Estimate<A>) -> Self {
        Self { label: estimate.name(), confidence: estimate.confidence, probabilities: estimate.probabilities.clone() }
    }
}

impl fmt::Display for FrameReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, frame, width, height, faces } = self;
        let faces_word = if faces.len() == 1 { "face" } else { "faces" };
        write!(f, "{file} frame {frame}, {width}x{height}: {} {faces_word}", faces.len())?;
        for face in faces {
            let RoiReport { x, y, width, height } = face.roi;
            write!(f, "\n  {} at {x},{y} of {width}x{height}", face.id)?;
            for estimate in [&face.emotion, &face.gender].into_iter().flatten() {
                write!(f, ", {} {:.0}%", estimate.label, 100.0 * estimate.confidence)?;
            }
            if !face.seen {
                write!(f, ", predicted")?;
            }
        }
        Ok(())
    }
}
