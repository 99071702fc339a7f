//! Draws what was found into a picture, coloured as in Figure 1 of Arriaga et al. (2017): woman blue, man red.

use opencv::core::{Mat, Point, Scalar, Size};
use opencv::imgproc::{self, put_text, rectangle};
use opencv::prelude::*;

use crate::attributes::{Attribute, Estimate, FaceAttributes, Gender};
use crate::faces::BoundingBox;

const FONT: i32 = imgproc::FONT_HERSHEY_SIMPLEX;
/// Blank pixels around a line of text, at a text scale of 1.
const PADDING_PX: f64 = 6.0;

/// Draws a box and its labels for each face into `bgr` (height x width, 8-bit, blue, green, red).
///
/// # Errors
/// Only those of OpenCV.
pub fn draw_faces(bgr: &mut Mat, faces: &[FaceAttributes]) -> opencv::Result<()> {
    let scale = text_scale(bgr.size()?);
    for face in faces {
        let color = color_of(face.gender.as_ref().and_then(|gender| gender.label));
        rectangle(bgr, face.roi.into(), color, line_px(scale), imgproc::LINE_8, 0)?;
        draw_caption(bgr, &face.roi, &caption(face), color, scale)?;
    }
    Ok(())
}

/// Scales text and lines with the picture, so that they can be read on a thumbnail and on a poster.
fn text_scale(picture: Size) -> f64 {
    (f64::from(picture.width.min(picture.height)) / 900.0).clamp(0.35, 4.0)
}

fn line_px(scale: f64) -> i32 {
    (2.0 * scale).round().max(1.0) as i32
}

fn color_of(gender: Option<Gender>) -> Scalar {
    match gender {
        Some(Gender::Woman) => Scalar::new(255.0, 80.0, 0.0, 0.0),
        Some(Gender::Man) => Scalar::new(0.0, 0.0, 255.0, 0.0),
        None => Scalar::new(110.0, 110.0, 110.0, 0.0),
    }
}

/// The lines above a face, top first.
fn caption(face: &FaceAttributes) -> Vec<String> {
    let lines = [Some(face.id.to_string()), face.emotion.as_ref().map(answer), face.gender.as_ref().map(answer)];
    lines.into_iter().flatten().collect()
}

fn answer<A: Attribute>(estimate: &Estimate<A>) -> String {
    format!("{} {:.0}%", estimate.name(), 100.0 * estimate.confidence)
}

/// Writes the lines on a filled ground above the box, or inside it where there is no room above.
fn draw_caption(bgr: &mut Mat, face: &BoundingBox, lines: &[String], color: Scalar, scale: f64) -> opencv::Result<()> {
    let thickness = line_px(scale);
    let padding = (PADDING_PX * scale).ceil() as i32;
    let mut baseline = 0;
    let mut ground = Size::new(0, 0);
    for line in lines {
        let text = imgproc::get_text_size(line, FONT, scale, thickness, &mut baseline)?;
        ground.width = ground.width.max(text.width + 2 * padding);
        ground.height = ground.height.max(text.height + baseline + padding);
    }
    let line_height = ground.height;
    let caption_height = line_height * lines.len() as i32;
    let x = face.x.min(bgr.cols() - ground.width).max(0);
    let y = if face.y >= caption_height { face.y - caption_height } else { face.y };
    let ground = BoundingBox { x, y, width: ground.width, height: caption_height };
    rectangle(bgr, ground.into(), color, imgproc::FILLED, imgproc::LINE_8, 0)?;
    let white = Scalar::all(255.0);
    for (line, bottom) in lines.iter().zip((1..).map(|n| y + n * line_height)) {
        let origin = Point::new(x + padding, bottom - baseline);
        put_text(bgr, line, origin, FONT, scale, white, thickness, imgproc::LINE_AA, false)?;
    }
    Ok(())
}
