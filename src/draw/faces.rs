//! Draws what was found into a picture, coloured as in Figure 1 of Arriaga et al. (2017): woman blue, man red.

use std::time::Duration;

use opencv::core::{Mat, Point, Scalar, Size};
use opencv::imgproc::{self, circle, put_text, rectangle};
use opencv::prelude::*;

use super::caption::caption_place;
use super::dashes::dashed_box;
use crate::attributes::{Attribute, Estimate, FaceAttributes, Gender};
use crate::faces::{BoundingBox, Landmarks};

const FONT: i32 = imgproc::FONT_HERSHEY_SIMPLEX;
/// Blank pixels around a line of text, at a text scale of 1.
const PADDING_PX: f64 = 6.0;

/// Draws a box, its landmarks and its labels for each face into `bgr` (height x width, 8-bit, blue, green, red).
///
/// The labels say the face's id, for how long it is followed at `time`, the time of this frame, and what holds about it. The box
/// of a face that is not seen in this frame is dashed, as its place is predicted. The labels cover neither their own face nor
/// other ones, as far as the image has room: see [`caption_place`].
///
/// # Errors
/// Only those of OpenCV.
pub fn draw_faces(bgr: &mut Mat, faces: &[FaceAttributes], time: Duration) -> opencv::Result<()> {
    let image = bgr.size()?;
    let scale = text_scale(image);
    for face in faces {
        let (color, line_px) = (color_of(face), line_px(scale));
        if face.seen {
            rectangle(bgr, face.roi.into(), color, line_px, imgproc::LINE_8, 0)?;
        } else {
            dashed_box(bgr, face.roi, color, line_px)?;
        }
        if let Some(landmarks) = &face.landmarks {
            draw_landmarks(bgr, landmarks, color, line_px)?;
        }
    }
    // After all boxes, so that no line of a box crosses a text.
    let mut captions_placed = Vec::new();
    for (position, face) in faces.iter().enumerate() {
        let caption = Caption::new(lines_of(face, time), scale)?;
        let other_faces = faces.iter().enumerate().filter(|(other, _)| *other != position).map(|(_, other)| other.roi);
        let others: Vec<_> = other_faces.chain(captions_placed.iter().copied()).collect();
        let place = caption_place(image, caption.size, &face.roi, &others);
        caption.draw(bgr, place, color_of(face))?;
        captions_placed.push(place);
    }
    Ok(())
}

/// Draws a dot for each point that lies in the image.
fn draw_landmarks(bgr: &mut Mat, landmarks: &Landmarks, color: Scalar, radius_px: i32) -> opencv::Result<()> {
    let (columns, rows) = (0.0..bgr.cols() as f32, 0.0..bgr.rows() as f32);
    for (x, y) in landmarks.0.into_iter().filter(|(x, y)| columns.contains(x) && rows.contains(y)) {
        let point = Point::new(x.round() as i32, y.round() as i32);
        circle(bgr, point, radius_px, color, imgproc::FILLED, imgproc::LINE_AA, 0)?;
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
fn lines_of(face: &FaceAttributes, time: Duration) -> Vec<String> {
    let id = format!("{}{}", face.id, how_long(time.saturating_sub(face.followed_since)));
    let lines = [Some(id), face.emotion.as_ref().map(answer), face.gender.as_ref().map(answer)];
    lines.into_iter().flatten().collect()
}

/// For how long a face is followed, in whole seconds or minutes; nothing in its first second.
fn how_long(followed: Duration) -> String {
    match followed.as_secs() {
        0 => String::new(),
        seconds @ 1..60 => format!(" {seconds} s"),
        seconds => format!(" {} min", seconds / 60),
    }
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
    use crate::attributes::{Emotion, RawEstimates};
    use crate::faces::FaceIds;

    const GRAY: Vec3b = opencv::core::VecN([90; 3]);

    /// When the pictures are taken.
    const NOW: Duration = Duration::from_secs(48);

    fn face(ids: &FaceIds, roi: BoundingBox) -> FaceAttributes {
        FaceAttributes {
            id: ids.next_id(),
            roi,
            seen: true,
            followed_since: Duration::from_millis(1500),
            confidence: 1.0,
            landmarks: None,
            answered: Some(NOW),
            emotion: Some(Estimate::<Emotion>::from_probabilities(vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0], 0.5)),
            gender: Some(Estimate::from_probabilities(vec![1.0, 0.0], 0.5)),
            raw: RawEstimates::default(),
        }
    }

    /// The picture of `width` x `height` pixels with a box and the longest caption for each face.
    fn drawn(width: i32, height: i32, boxes: &[BoundingBox]) -> Mat {
        let ids = FaceIds::of_camera(0);
        let faces: Vec<_> = boxes.iter().map(|roi| face(&ids, *roi)).collect();
        drawn_faces(width, height, &faces)
    }

    fn drawn_faces(width: i32, height: i32, faces: &[FaceAttributes]) -> Mat {
        let mut bgr = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(90.0)).unwrap();
        draw_faces(&mut bgr, faces, NOW).unwrap();
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
    fn captions_say_for_how_long_a_face_is_followed_and_what_holds() {
        let ids = FaceIds::of_camera(1);
        let mut face = face(&ids, BoundingBox::of_image(70, 90));
        face.raw.emotion = Some(Estimate::from_probabilities(vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.5));
        assert_eq!(lines_of(&face, NOW), ["camera2_face1 46 s", "surprise 100%", "woman 100%"]);
        let id_at =
            |seconds: f64| lines_of(&face, face.followed_since + Duration::from_secs_f64(seconds)).swap_remove(0);
        let ids = [0.0, 0.99, 1.0, 59.9, 60.0, 3599.0].map(id_at);
        let expected = ["", "", " 1 s", " 59 s", " 1 min", " 59 min"];
        assert_eq!(ids, expected.map(|how_long| format!("camera2_face1{how_long}")));
        // A face may be newer than the time to which it is drawn.
        assert_eq!(lines_of(&face, Duration::ZERO)[0], "camera2_face1");
    }

    #[test]
    fn the_box_of_a_predicted_face_is_dashed() {
        let ids = FaceIds::of_camera(0);
        let roi = BoundingBox { x: 40, y: 120, width: 110, height: 80 };
        let seen = face(&ids, roi);
        let predicted = FaceAttributes { seen: false, ..seen.clone() };
        let left_edge = |face| {
            let picture = drawn_faces(400, 300, &[face]);
            drawn_pixels(&picture, BoundingBox { width: 1, ..roi })
        };
        assert_eq!(left_edge(seen), 80);
        let dashed = left_edge(predicted);
        assert!((35..60).contains(&dashed), "{dashed} of 80 pixels");
    }

    #[test]
    fn landmarks_are_dots_and_those_outside_the_image_are_left_out() {
        let ids = FaceIds::of_camera(0);
        let roi = BoundingBox { x: 40, y: 120, width: 110, height: 80 };
        let points = [(60.2, 140.0), (119.7, 145.0), (90.0, f32::NAN), (-3e9, 170.0), (110.0, 3e9)];
        let picture =
            drawn_faces(400, 300, &[FaceAttributes { landmarks: Some(Landmarks(points)), ..face(&ids, roi) }]);
        let is_drawn = |x, y| *picture.at_2d::<Vec3b>(y, x).unwrap() != GRAY;
        assert!(is_drawn(60, 140) && is_drawn(120, 145));
        let dots = drawn_pixels(&picture, inside(roi));
        assert!((2..40).contains(&dots), "{dots} pixels");
        assert!(!is_drawn(90, 0) && !is_drawn(0, 170) && !is_drawn(110, 299));
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
    fn the_outline_says_the_gender() {
        let roi = BoundingBox { x: 60, y: 40, width: 90, height: 110 };
        let outline = |woman: Option<f32>| {
            let mut face = face(&FaceIds::of_camera(0), roi);
            face.gender = woman.map(|woman| Estimate::from_probabilities(vec![woman, 1.0 - woman], 0.7));
            drawn_faces(320, 240, &[face]).at_2d::<Vec3b>(roi.y, roi.x + 30).unwrap().0
        };
        assert_eq!(outline(Some(0.9)), [255, 80, 0]);
        assert_eq!(outline(Some(0.1)), [0, 0, 255]);
        assert_eq!([outline(Some(0.6)), outline(None)], [[110; 3]; 2]);
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
