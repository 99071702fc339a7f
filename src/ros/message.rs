//! Between ROS messages and the library's types.

use opencv::core::Mat;
use opencv::prelude::*;
use r2r::face_attributes::msg;
use r2r::sensor_msgs::msg::{Image, RegionOfInterest};
use r2r::std_msgs::msg::Header;

use crate::attributes::{Attribute, Emotion, Estimate, Gender};
use crate::frame::{ByteOrder, UnsupportedEncoding};
use crate::frame::{Frame, FrameError};
use crate::faces::BoundingBox;
use crate::pipeline::FaceAttributes;

/// Why an image message is no frame.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Encoding(#[from] UnsupportedEncoding),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Looks at an image message as a frame, without copying its pixels.
pub fn frame_of(image: &Image) -> Result<Frame<'_>, ImageError> {
    let byte_order = if image.is_bigendian == 0 { ByteOrder::LittleEndian } else { ByteOrder::BigEndian };
    let [width, height, step] = [image.width, image.height, image.step].map(|n| n as usize);
    Ok(Frame::new(width, height, step, image.encoding.parse()?, byte_order, &image.data)?)
}

/// The message for the faces of one image.
pub fn faces_message(header: Header, faces: &[FaceAttributes]) -> msg::FaceAttributesArray {
    msg::FaceAttributesArray { header, faces: faces.iter().map(face_message).collect() }
}

fn face_message(face: &FaceAttributes) -> msg::FaceAttributes {
    msg::FaceAttributes {
        id: face.id.to_string(),
        roi: roi_message(face.roi),
        emotion: face.emotion.as_ref().map_or_else(no_emotion, emotion_message),
        gender: face.gender.as_ref().map_or_else(no_gender, gender_message),
    }
}

fn roi_message(roi: BoundingBox) -> RegionOfInterest {
    // Detected boxes lie inside the image, so that no side is negative.
    let [x_offset, y_offset, width, height] = [roi.x, roi.y, roi.width, roi.height].map(i32::unsigned_abs);
    RegionOfInterest { x_offset, y_offset, width, height, do_rectify: false }
}

fn emotion_message(estimate: &Estimate<Emotion>) -> msg::Emotion {
    use msg::Emotion as M;
    let label = match estimate.label {
        Some(Emotion::Angry) => M::ANGRY as u8,
        Some(Emotion::Disgust) => M::DISGUST as u8,
        Some(Emotion::Fear) => M::FEAR as u8,
        Some(Emotion::Happy) => M::HAPPY as u8,
        Some(Emotion::Sad) => M::SAD as u8,
        Some(Emotion::Surprise) => M::SURPRISE as u8,
        Some(Emotion::Neutral) => M::NEUTRAL as u8,
        None => M::UNKNOWN as u8,
    };
    M { label, confidence: estimate.confidence, probabilities: estimate.probabilities.clone() }
}

fn gender_message(estimate: &Estimate<Gender>) -> msg::Gender {
    use msg::Gender as M;
    let label = match estimate.label {
        Some(Gender::Woman) => M::WOMAN as u8,
        Some(Gender::Man) => M::MAN as u8,
        None => M::UNKNOWN as u8,
    };
    M { label, confidence: estimate.confidence, probabilities: estimate.probabilities.clone() }
}

fn no_emotion() -> msg::Emotion {
    msg::Emotion {
        label: msg::Emotion::UNKNOWN as u8,
        confidence: 0.0,
        probabilities: vec![0.0; Emotion::CLASSES.len()],
    }
}

fn no_gender() -> msg::Gender {
    msg::Gender { label: msg::Gender::UNKNOWN as u8, confidence: 0.0, probabilities: vec![0.0; Gender::CLASSES.len()] }
}

/// An image message of a picture (8-bit, blue, green, red, rows without padding).
///
/// # Errors
/// Those of OpenCV for a picture whose rows are padded.
pub fn bgr_image(header: Header, bgr: &Mat) -> opencv::Result<Image> {
    let (width, height) = (bgr.cols().unsigned_abs(), bgr.rows().unsigned_abs());
    let data = bgr.data_bytes()?.to_vec();
    Ok(Image { header, width, height, step: 3 * width, encoding: "bgr8".to_owned(), is_bigendian: 0, data })
}
