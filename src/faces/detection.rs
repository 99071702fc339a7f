//! What a finder tells about a face in one frame.

use super::BoundingBox;

/// Where a finder saw a face in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// The square that the attribute networks were trained for, in pixels, as OpenCV's frontal cascade marks a face.
    pub roi: BoundingBox,
    /// How sure the finder is, 0 to 1.
    pub confidence: f32,
    /// Eyes (left, right in the image), nose, corners of the mouth (left, right), in pixels; where the finder gives them.
    pub landmarks: Option<Landmarks>,
}

/// Five points, x to the right and y down, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Landmarks(pub [(f32, f32); 5]);
