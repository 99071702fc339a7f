//! Draws what was found into a picture, coloured as in Figure 1 of Arriaga et al. (2017): woman blue, man red.

use opencv::core::{Mat, Point, Scalar, Size};
use opencv::imgproc::{self, put_text, rectangle};
use opencv::prelude::*;

use super::caption::caption_place;
use crate::attributes::{Attribute, Estimate, FaceAttributes, Gender};
use crate::faces::BoundingBox;

const FONT: i32 = imgproc::FONT_HERSHEY_SIMPLEX;
/// Blank pixels around a line of text, at a text scale of 1.
const PADDING_PX: f64 = 6.0;

/// Draws a box and its labels for each face into `bgr` (height x width, 8-bit, blue, green, red).
///
/// The labels cover neither their own face nor other ones, as far as the image has room: see [`caption_place`].
///
/// # Errors
/// Only those of OpenCV.
pub fn draw_faces(bgr: &mut Mat, faces: &[FaceAttributes]) -> opencv::Result<()> {
    let image = bgr.size()?;
    let scale = text_scale(image);
    for face in faces {
        rectangle(bgr, face.roi.into(), color_of(face), line_px(scale), imgproc::LINE_8, 0)?;
    }
    // After all boxes, so that no line of a box crosses a text.
    let mut captions_placed = Vec::new();
    for (position, face) in faces.iter().enumerate() {
        let caption = Caption::new(lines_of(face), scale)?;
        let other_faces = faces.iter().enumerate().filter(|(other, _)| *other != position).map(|(_, other)| other.roi);
        let others: Vec<_> = other_faces.chain(captions_placed.iter().copied()).collect();
        let place = caption_place(image, caption.size, &face.roi, &others);
        caption.draw(bgr, place, color_of(face))?;
        captions_placed.push(place);
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

fn padding_px(scale: f64) -> i32 {
    (PADDING_PX * scale).ceil() as i32
}

fn color_of(face: &FaceAttributes) -> Scalar {
    match face.gender.as_ref().and_then(|gender| gender.label) {
        Some(Gender::Woman) => Scalar::new(255.0, 80.0, 0.0, 0.0),
        Some(Gender::Man) => Scalar::new(0.0, 0.0, 255.0, 0.0),
        None => Scalar::new(110.0, 110.0, 110.0, 0.0),
    }
}

/// What the caption of a face says, top first.
fn lines_of(face: &FaceAttributes) -> Vec<String> {
    let lines = [Some(face.id.to_string()), face.emotion.as_ref().map(answer), face.gender.as_ref().map(answer)];
    lines.into_iter().flatten().collect()
}

fn answer<A: Attribute>(estimate: &Estimate<A>) -> String {
    format!("{} {:.0}%", estimate.name(), 100.0 * estimate.confidence)
}

/// Lines of text on a filled ground.
struct Caption {
    lines: Vec<String>,
    scale: f64,
    /// Size of the ground, in pixels.
    size: Size,
    /// From the top of one line to the top of the next one, in pixels.
    line_height: i32,
    /// What letters such as g reach below their line, in pixels.
    baseline: i32,
}

impl Caption {
    fn new(lines: Vec<String>, scale: f64) -> opencv::Result<Self> {
        let padding = padding_px(scale);
        let (mut width, mut line_height, mut baseline) = (0, 0, 0);
        for line in &lines {
            let text = imgproc::get_text_size(line, FONT, scale, line_px(scale), &mut baseline)?;
            width = width.max(text.width + 2 * padding);
            line_height = line_height.max(text.height + baseline + padding);
        }
        let size = Size::new(width, line_height * lines.len() as i32);
        Ok(Self { lines, scale, size, line_height, baseline })
    }

    fn draw(&self, bgr: &mut Mat, place: BoundingBox, color: Scalar) -> opencv::Result<()> {
        rectangle(bgr, place.into(), color, imgproc::FILLED, imgproc::LINE_8, 0)?;
        let white = Scalar::all(255.0);
        for (line, bottom) in self.lines.iter().zip((1..).map(|n| place.y + n * self.line_height)) {
            let origin = Point::new(place.x + padding_px(self.scale), bottom - self.baseline);
            put_text(bgr, line, origin, FONT, self.scale, white, line_px(self.scale), imgproc::LINE_AA, false)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opencv::core::{CV_8UC3, Vec3b};

    use super::*;
    use crate::attributes::Emotion;
    use crate::faces::{FaceIds, Tracker};

    const GRAY: Vec3b = opencv::core::VecN([90; 3]);

    /// The picture of `width` x `height` pixels with a box and the longest caption for each face.
    fn drawn(width: i32, height: i32, boxes: &[BoundingBox]) -> Mat {
        let ids = Tracker::new(FaceIds::of_camera(1)).update(boxes, Duration::ZERO);
        let faces: Vec<_> = ids
            .into_iter()
            .zip(boxes)
            .map(|(id, roi)| FaceAttributes {
                id,
                roi: *roi,
                emotion: Some(Estimate::<Emotion>::from_probabilities(vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0], 0.5)),
                gender: Some(Estimate::from_probabilities(vec![1.0, 0.0], 0.5)),
            })
            .collect();
        let mut bgr = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(90.0)).unwrap();
        draw_faces(&mut bgr, &faces).unwrap();
        bgr
    }

    /// How many pixels of `place` were drawn on.
    fn drawn_pixels(bgr: &Mat, place: BoundingBox) -> usize {
        let columns = place.x as usize..place.right() as usize;
        let row = |y| bgr.at_row::<Vec3b>(y).unwrap()[columns.clone()].iter().filter(|pixel| **pixel != GRAY).count();
        (place.y..place.bottom()).map(row).sum()
    }

    /// What the line of a box encloses.
    fn inside(face: BoundingBox) -> BoundingBox {
        BoundingBox { x: face.x + 3, y: face.y + 3, width: face.width - 6, height: face.height - 6 }
    }

    #[test]
    fn a_face_at_any_edge_or_corner_is_not_covered_by_its_caption() {
        let side = 150;
        for (x, y) in [(0, 0), (200, 0), (490, 0), (200, 7), (0, 100), (490, 100), (0, 330), (200, 330), (490, 330)] {
            let face = BoundingBox { x, y, width: side, height: side };
            let bgr = drawn(640, 480, &[face]);
            assert_eq!(drawn_pixels(&bgr, inside(face)), 0, "at {x},{y}");
            let outside = drawn_pixels(&bgr, BoundingBox::of_image(640, 480)) - drawn_pixels(&bgr, face);
            assert!(outside > 1000, "{outside} pixels beside the box at {x},{y}");
        }
    }

    #[test]
    fn no_face_is_covered_where_there_is_room() {
        // Pairs with 10 pixels between them: in a corner, and with a neighbour on the right. Captions are larger than that.
        let boxes = [(0, 0), (0, 110), (300, 120), (300, 230), (410, 170)];
        let boxes = boxes.map(|(x, y)| BoundingBox { x, y, width: 100, height: 100 });
        let bgr = drawn(640, 400, &boxes);
        for face in boxes {
            assert_eq!(drawn_pixels(&bgr, inside(face)), 0, "{face:?}");
        }
    }

    #[test]
    fn a_face_that_fills_the_image_is_covered_at_its_lower_edge() {
        let face = BoundingBox::of_image(320, 250);
        let bgr = drawn(320, 250, &[face]);
        assert_eq!(drawn_pixels(&bgr, BoundingBox { height: 120, ..inside(face) }), 0);
        assert!(drawn_pixels(&bgr, inside(face)) > 1000);
    }

    #[test]
    fn a_caption_larger_than_the_image_is_cut() {
        for (width, height) in [(1, 1), (30, 24)] {
            let bgr = drawn(width, height, &[BoundingBox::of_image(width, height)]);
            assert!(drawn_pixels(&bgr, BoundingBox::of_image(width, height)) > 0, "{width} x {height}");
        }
        for (width, height) in [(24, 200), (300, 25)] {
            let face = BoundingBox::of_image(24, 24);
            let bgr = drawn(width, height, &[face]);
            assert_eq!(drawn_pixels(&bgr, inside(face)), 0, "{width} x {height}");
            assert!(drawn_pixels(&bgr, BoundingBox::of_image(width, height)) > 300, "{width} x {height}");
        }
    }
}
