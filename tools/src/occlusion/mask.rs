//! Hides parts of the face and draws glasses.

use opencv::core::{CV_8UC1, Mat, Point, Rect, Rect2d, Scalar, Size, Vector};
use opencv::imgproc::{self, INTER_AREA, fill_poly_def, line, polylines, rectangle, resize};
use opencv::prelude::*;

use super::lens::Frame;
use crate::dataset::Format;
use face_attributes::faces::BoundingBox;

/// The positions of the features in pictures of faces with the same alignment. The middle of the face is that of the picture.
///
/// Measured with OpenCV's haarcascade_eye and haarcascade_smile (median of about 750 and 900 faces of each set with one
/// detection on each side), and on the mean picture, because the smile cascade detects teeth and is lower than the lips. The
/// positions are rough for a single face: 90 % of the eyes are within 2 % of the picture's height in UTKFace, and within 10 %
/// in FER-2013, whose faces are aligned like the boxes of a Haar cascade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceLayout {
    /// From the middle of one eye to that of the other, as a fraction of the picture's width.
    pub eye_distance: f64,
    /// Distance of the eyes from the upper edge, as a fraction of the picture's height.
    pub eyes_y: f64,
    /// Distance of the mouth's middle from the upper edge, as a fraction of the picture's height.
    pub mouth_y: f64,
}

impl FaceLayout {
    /// FER-2013, and the boxes of OpenCV's frontal face cascade.
    pub const FER_2013: Self = Self { eye_distance: 0.38, eyes_y: 0.38, mouth_y: 0.79 };
    /// UTKFace, aligned and cropped.
    pub const UTKFACE: Self = Self { eye_distance: 0.39, eyes_y: 0.29, mouth_y: 0.70 };

    /// The layout of the pictures of that form, if it is known. Class folders get the layout of FER-2013.
    pub fn of(format: Format) -> Option<Self> {
        match format {
            Format::Folders | Format::Fer2013 => Some(Self::FER_2013),
            Format::Utkface => Some(Self::UTKFACE),
            Format::ImdbWiki => None,
        }
    }
}

/// A change of a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occlusion {
    /// The eyes hidden, without the brows.
    Eyes,
    /// The brows hidden.
    Brows,
    /// The mouth hidden.
    Mouth,
    /// Dark oval frames with clear lenses drawn on.
    Glasses,
    /// Dark oval frames with dark lenses drawn on.
    DarkGlasses,
    /// Round frames of thin metal with clear lenses.
    RoundGlasses,
    /// Dark frames with six corners and clear lenses.
    HexagonalGlasses,
    /// Dark frames whose outer corners rise, with clear lenses.
    CatEyeGlasses,
    /// Teardrops of thin metal with two bridges and clear lenses.
    AviatorGlasses,
}

impl Occlusion {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Eyes,
        Self::Brows,
        Self::Mouth,
        Self::Glasses,
        Self::DarkGlasses,
        Self::RoundGlasses,
        Self::HexagonalGlasses,
        Self::CatEyeGlasses,
        Self::AviatorGlasses,
    ];

    /// All drawn-on glasses, which are the last of [`ALL`](Self::ALL). The trainer draws none of these shapes.
    pub const GLASSES: &[Self] = Self::ALL.split_at(3).1;

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Eyes => "eyes",
            Self::Brows => "brows",
            Self::Mouth => "mouth",
            Self::Glasses => "glasses",
            Self::DarkGlasses => "dark glasses",
            Self::RoundGlasses => "round glasses",
            Self::HexagonalGlasses => "hexagonal glasses",
            Self::CatEyeGlasses => "cat-eye glasses",
            Self::AviatorGlasses => "aviator glasses",
        }
    }
}

/// The place of a picture in the crop that [`crop_face`](face_attributes::attributes::crop::crop_face) makes of it with
/// `margin`, in pixels of the crop. `crop` is the size of the crop.
pub fn place_in_crop(picture: Size, margin: f64, crop: Size) -> Rect2d {
    let square = BoundingBox::of_image(picture.width, picture.height).square_with_margin(margin);
    let scale = |crop: i32, square: i32| f64::from(crop) / f64::from(square);
    let (x_scale, y_scale) = (scale(crop.width, square.width), scale(crop.height, square.height));
    Rect2d {
        x: f64::from(-square.x) * x_scale,
        y: f64::from(-square.y) * y_scale,
        width: f64::from(picture.width) * x_scale,
        height: f64::from(picture.height) * y_scale,
    }
}

/// A mask over a picture, with the covered part of each pixel.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    /// 0 (clear) to 1 (hidden), row by row.
    opacity: Vec<f32>,
    fill: Fill,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fill {
    /// The mean of the picture, so that the hidden part is neither bright nor dark.
    MeanGray,
    /// 0 to 255.
    Gray(f32),
}

/// Masks are drawn larger by this factor and scaled down, so that an edge inside a pixel covers a part of it.
const SUPERSAMPLING: f64 = 8.0;

impl Mask {
    /// Prepares a mask for pictures of the size `size`, in which faces of that layout fill the box `face` (in pixels).
    ///
    /// Sizes are in eye distances, which are 63 mm in an average adult.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn new(occlusion: Occlusion, layout: FaceLayout, size: Size, face: Rect2d) -> opencv::Result<Self> {
        let mut canvas = Canvas::new(layout, size, face)?;
        let fill = match occlusion {
            Occlusion::Eyes => canvas.fill_band(layout.eyes_y, [-0.15, 0.2], 0.9)?,
            Occlusion::Brows => canvas.fill_band(layout.eyes_y, [-0.5, -0.15], 0.9)?,
            Occlusion::Mouth => canvas.fill_band(layout.mouth_y, [-0.22, 0.22], 0.6)?,
            Occlusion::Glasses => canvas.draw_glasses(layout, &Frame::oval(false))?,
            Occlusion::DarkGlasses => canvas.draw_glasses(layout, &Frame::oval(true))?,
            Occlusion::RoundGlasses => canvas.draw_glasses(layout, &Frame::round())?,
            Occlusion::HexagonalGlasses => canvas.draw_glasses(layout, &Frame::hexagonal())?,
            Occlusion::CatEyeGlasses => canvas.draw_glasses(layout, &Frame::cat_eye())?,
            Occlusion::AviatorGlasses => canvas.draw_glasses(layout, &Frame::aviator())?,
        };
        let mut opacity = Mat::default();
        resize(&canvas.large, &mut opacity, size, 0.0, 0.0, INTER_AREA)?;
        Ok(Self { opacity: opacity.data_bytes()?.iter().map(|byte| f32::from(*byte) / 255.0).collect(), fill })
    }

    /// How much of each pixel is covered, 0 to 1, row by row.
    pub fn into_opacity(self) -> Vec<f32> {
        self.opacity
    }

    /// The picture with this mask: grey, 8-bit, row by row, of the size of the mask.
    pub fn cover(&self, pixels: &[u8]) -> Vec<u8> {
        let fill = match self.fill {
            Fill::MeanGray => mean_gray(pixels),
            Fill::Gray(gray) => gray,
        };
        let blend = |(pixel, opacity): (&u8, &f32)| {
            let pixel = f32::from(*pixel);
            (pixel + opacity * (fill - pixel)).round() as u8
        };
        pixels.iter().zip(&self.opacity).map(blend).collect()
    }
}

/// The mean of 8-bit pixels; 0 without pixels.
pub(super) fn mean_gray(pixels: &[u8]) -> f32 {
    let sum: u64 = pixels.iter().map(|pixel| u64::from(*pixel)).sum();
    sum as f32 / pixels.len().max(1) as f32
}

/// A mask is drawn in white on black; white parts hide.
struct Canvas {
    large: Mat,
    face: Rect2d,
    /// In pixels of the large picture.
    eye_distance: f64,
}

impl Canvas {
    fn new(layout: FaceLayout, size: Size, face: Rect2d) -> opencv::Result<Self> {
        let [rows, columns] = [size.height, size.width].map(|side| side * SUPERSAMPLING as i32);
        let large = Mat::new_rows_cols_with_default(rows, columns, CV_8UC1, Scalar::all(0.0))?;
        Ok(Self { large, face, eye_distance: layout.eye_distance * face.width * SUPERSAMPLING })
    }

    /// The point `right` to the right of the face's middle and `down` below `y`, both in eye distances.
    fn point(&self, y: f64, [right, down]: [f64; 2]) -> Point {
        let (x, y) = (self.face.x + self.face.width / 2.0, self.face.y + self.face.height * y);
        let position = |middle: f64, away: f64| (middle * SUPERSAMPLING + away * self.eye_distance).round() as i32;
        Point::new(position(x, right), position(y, down))
    }

    /// Fills a band of this half width about the face's middle, from `top` to `bottom` below `y`.
    fn fill_band(&mut self, y: f64, [top, bottom]: [f64; 2], half_width: f64) -> opencv::Result<Fill> {
        let (corner, opposite) = (self.point(y, [-half_width, top]), self.point(y, [half_width, bottom]));
        let band = Rect::new(corner.x, corner.y, opposite.x - corner.x, opposite.y - corner.y);
        rectangle(&mut self.large, band, Scalar::all(255.0), imgproc::FILLED, imgproc::LINE_8, 0)?;
        Ok(Fill::MeanGray)
    }

    fn draw_glasses(&mut self, layout: FaceLayout, glasses: &Frame) -> opencv::Result<Fill> {
        let white = Scalar::all(255.0);
        let thickness = ((glasses.thickness * self.eye_distance).round() as i32).max(1);
        for side in [-1.0, 1.0] {
            let place =
                |[outside, down]: &[f64; 2]| self.point(layout.eyes_y, [side * (0.5 + outside), glasses.down + down]);
            let outline: Vector<Vector<Point>> = Vector::from_iter([glasses.outline.iter().map(place).collect()]);
            polylines(&mut self.large, &outline, true, white, thickness, imgproc::LINE_8, 0)?;
            if glasses.has_dark_lenses {
                fill_poly_def(&mut self.large, &outline, white)?;
            }
            let outer = glasses.outline.iter().map(|point| point[0]).fold(0.0, f64::max);
            let temple = [0.5 + outer, 1.15].map(|right| self.point(layout.eyes_y, [right * side, -0.02]));
            line(&mut self.large, temple[0], temple[1], white, thickness, imgproc::LINE_8, 0)?;
        }
        let inner = glasses.outline.iter().map(|point| point[0]).fold(0.0, f64::min);
        for down in glasses.bridges {
            let bridge = [-0.5 - inner, 0.5 + inner].map(|right| self.point(layout.eyes_y, [right, *down]));
            line(&mut self.large, bridge[0], bridge[1], white, thickness, imgproc::LINE_8, 0)?;
        }
        Ok(Fill::Gray(glasses.gray))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(50, 30);
    /// In a picture of 50 x 30, a face of 20 x 20 whose left and upper edges are at 25 and 5: the eyes at 31 and 39, 5 + 6.
    const FACE: Rect2d = Rect2d::new(25.0, 5.0, 20.0, 20.0);
    const LAYOUT: FaceLayout = FaceLayout { eye_distance: 0.4, eyes_y: 0.3, mouth_y: 0.75 };

    fn covered(occlusion: Occlusion, pixels: &[u8]) -> Vec<u8> {
        Mask::new(occlusion, LAYOUT, SIZE, FACE).unwrap().cover(pixels)
    }

    // A square of 200 with a margin of 0.4 is 360 wide; of 320 x 240 with 0.25, 480 wide, its corner at -80, -120.
    #[test]
    fn a_picture_lies_in_its_crop_inside_the_margin() {
        let place = place_in_crop(Size::new(200, 200), 0.4, Size::new(36, 36));
        assert_eq!(place, Rect2d::new(8.0, 8.0, 20.0, 20.0));
        let place = place_in_crop(Size::new(320, 240), 0.25, Size::new(48, 24));
        assert_eq!(place, Rect2d::new(8.0, 6.0, 32.0, 12.0));
    }

    // The mouth is at 5 + 0.75 x 20 = 20; 0.22 and 0.6 eye distances of 8 pixels are 1.76 and 4.8.
    #[test]
    fn the_mouth_is_hidden_in_its_place_by_the_mean() {
        let pixels: Vec<u8> = (0..1500).map(|i| if i % 2 == 0 { 10 } else { 110 }).collect();
        let covered = covered(Occlusion::Mouth, &pixels);
        let gray_at = |x: usize, y: usize| covered[50 * y + x];
        // Mean 60. Rows 18.24 to 21.76 and columns 30.2 to 39.8 are hidden.
        for y in 19..=20 {
            assert!((31..39).all(|x| gray_at(x, y) == 60), "row {y}");
        }
        for (index, (before, after)) in pixels.iter().zip(&covered).enumerate() {
            let (x, y) = (index % 50, index / 50);
            if !(30..40).contains(&x) || !(18..22).contains(&y) {
                assert_eq!(before, after, "at {x},{y}");
            }
        }
        // Three quarters of row 18 are hidden (18.24 to 19), and the pixel at an even column had 10.
        let edge = f32::from(gray_at(34, 18));
        assert!((edge - (10.0 + 0.76 * 50.0)).abs() <= 0.13 * 50.0, "{edge}");
    }

    #[test]
    fn brows_eyes_and_mouth_lie_below_each_other() {
        let white = vec![255; 1500];
        let black_half = |occlusion| {
            let mut pixels = white.clone();
            pixels[..750].fill(0);
            let covered = covered(occlusion, &pixels);
            (0..1500).filter(|i| covered[*i] != pixels[*i]).collect::<Vec<_>>()
        };
        let [eyes, brows, mouth] = [Occlusion::Eyes, Occlusion::Brows, Occlusion::Mouth].map(black_half);
        let rows = |pixels: &[usize]| (pixels.first().map(|i| i / 50), pixels.last().map(|i| i / 50));
        // Brows: 11 - 4 to 11 - 1.2; eyes: to 11 + 1.6; each ends in a row that it covers a part of.
        assert_eq!(rows(&brows), (Some(7), Some(9)));
        assert_eq!(rows(&eyes), (Some(9), Some(12)));
        assert_eq!(rows(&mouth), (Some(18), Some(21)));
    }

    #[test]
    fn clear_lenses_show_the_eyes_and_dark_ones_hide_them() {
        let white = vec![255; 1500];
        let (clear, dark) = (covered(Occlusion::Glasses, &white), covered(Occlusion::DarkGlasses, &white));
        let at = |picture: &[u8], x: usize, y: usize| picture[50 * y + x];
        for eye_x in [31, 39] {
            assert_eq!((at(&clear, eye_x, 11), at(&dark, eye_x, 11)), (255, 25));
        }
        // The bridge between the eyes, and the mouth that nothing covers.
        assert!(at(&clear, 35, 10) < 240 && at(&dark, 35, 10) < 240);
        assert_eq!((at(&clear, 35, 20), at(&dark, 35, 20)), (255, 255));
        assert!(clear.iter().zip(&dark).all(|(clear, dark)| dark <= clear));
    }

    #[test]
    fn glasses_of_every_shape_have_clear_lenses_and_look_different() {
        let white = vec![255; 1500];
        let mut pictures: Vec<_> = Occlusion::GLASSES.iter().map(|shape| covered(*shape, &white)).collect();
        for (shape, picture) in Occlusion::GLASSES.iter().zip(&pictures) {
            let at = |x: usize, y: usize| picture[50 * y + x];
            let lens = if *shape == Occlusion::DarkGlasses { 25 } else { 255 };
            assert_eq!([at(31, 11), at(39, 11), at(35, 20)], [lens, lens, 255], "{shape:?}");
            // The frames lie on both sides of the middle alike, a bridge between them.
            assert!((0..30).all(|y| at(34, y).abs_diff(at(35, y)) < 60), "{shape:?}");
            assert!((8..13).any(|y| at(35, y) < 240), "{shape:?}");
            assert!(picture.iter().filter(|pixel| **pixel < 240).count() > 20, "{shape:?}");
        }
        pictures.sort();
        pictures.dedup();
        assert_eq!(pictures.len(), Occlusion::GLASSES.len());
    }
}
