//! Glasses that are drawn on faces while a network learns, so that they do not change its answers.
//!
//! Shapes, frames, tints and reflections are random. Lenses are never ellipses: the command `occlude` measures with elliptical
//! ones, which stay unseen.

use face_attributes_tools::occlusion::mask::FaceLayout;
use opencv::core::{CV_8UC1, Mat, Point, Scalar, Size, Vector};
use opencv::imgproc::{INTER_AREA, LINE_AA, fill_poly, line, polylines, resize};
use opencv::prelude::*;
use rand::Rng;

/// Points of a lens' outline.
const OUTLINE_POINTS: usize = 48;
/// Glasses are drawn at least this large and then scaled down, so that an edge inside a pixel covers a part of it.
const CANVAS_SIDE_PX: i32 = 192;
const WHITE: Scalar = Scalar::new(255.0, 255.0, 255.0, 0.0);

/// A pair of glasses. Lengths are in eye distances.
#[derive(Debug, Clone, PartialEq)]
pub struct Glasses {
    /// Half the size of a lens.
    half_size: [f64; 2],
    /// Exponents of the upper and the lower half of the outline, a superellipse: 2 is an ellipse, large ones are rectangles.
    exponents: [f64; 2],
    /// How much wider the lens is at its upper edge than in its middle, as a fraction.
    taper: f64,
    /// Where the glasses sit: right of and below the middle between the eyes.
    shift: [f64; 2],
    rotation_radians: f64,
    /// Of the frame.
    thickness: f64,
    has_lower_rim: bool,
    /// 0 to 255.
    frame_gray: f32,
    /// 0 (clear) to 1.
    lens_opacity: f32,
    /// 0 to 255.
    lens_gray: f32,
    /// 0 (none) to 1.
    reflection: f32,
    /// Where the bright band crosses a lens, -1 to 1.
    reflection_place: f64,
}

impl Glasses {
    /// Random glasses.
    pub fn draw(numbers: &mut impl Rng) -> Self {
        let mut between = |least: f64, largest: f64| least + (largest - least) * numbers.random::<f64>();
        // Dark plastic more often than metal.
        let frame_gray = 200.0 * between(0.0, 1.0).powi(2);
        let lens_opacity = match between(0.0, 1.0) {
            kind if kind < 0.6 => between(0.0, 0.1),
            kind if kind < 0.85 => between(0.1, 0.5),
            _ => between(0.6, 0.95),
        };
        let reflection = if between(0.0, 1.0) < 0.3 { between(0.2, 0.7) } else { 0.0 };
        Self {
            half_size: [between(0.3, 0.46), between(0.16, 0.36)],
            exponents: [between(2.6, 8.0), between(2.6, 8.0)],
            taper: between(-0.15, 0.2),
            shift: [between(-0.08, 0.08), between(-0.06, 0.14)],
            rotation_radians: between(-6.0, 6.0).to_radians(),
            thickness: between(0.02, 0.12),
            has_lower_rim: between(0.0, 1.0) < 0.8,
            frame_gray: frame_gray as f32,
            lens_opacity: lens_opacity as f32,
            lens_gray: between(0.0, 90.0) as f32,
            reflection: reflection as f32,
            reflection_place: between(-0.7, 0.7),
        }
    }

    /// The face with these glasses: grey, 8-bit, of the size of `picture`, in which faces have that layout.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn put_on(&self, picture: &Mat, layout: FaceLayout) -> opencv::Result<Mat> {
        let size = picture.size()?;
        let place = Place::new(self, layout, size);
        let [lenses, frame, reflections] =
            [self.lenses(&place)?, self.frame(&place)?, self.reflections(&place)?].map(|mask| place.opacity(&mask));
        let (lenses, frame, reflections) = (lenses?, frame?, reflections?);
        let pixels = picture.try_clone()?;
        let pixels = pixels.data_bytes()?.iter().enumerate().map(|(at, pixel)| {
            let mut gray = f32::from(*pixel);
            gray += lenses[at] * self.lens_opacity * (self.lens_gray - gray);
            gray += lenses[at] * reflections[at] * self.reflection * (255.0 - gray);
            gray += frame[at] * (self.frame_gray - gray);
            gray.round() as u8
        });
        let pixels: Vec<u8> = pixels.collect();
        Mat::new_rows_cols_with_data(size.height, size.width, &pixels)?.try_clone()
    }

    fn lenses(&self, place: &Place) -> opencv::Result<Mat> {
        let mut mask = place.canvas()?;
        for side in [-1.0, 1.0] {
            fill_poly(&mut mask, &outlines(self.outline(place, side)), WHITE, LINE_AA, 0, Point::default())?;
        }
        Ok(mask)
    }

    fn frame(&self, place: &Place) -> opencv::Result<Mat> {
        let mut mask = place.canvas()?;
        let thickness = place.length(self.thickness).max(1);
        for side in [-1.0, 1.0] {
            let mut outline = self.outline(place, side);
            if !self.has_lower_rim {
                outline.truncate(OUTLINE_POINTS / 2 + 1);
            }
            polylines(&mut mask, &outlines(outline), self.has_lower_rim, WHITE, thickness, LINE_AA, 0)?;
            let outer = 0.5 + self.half_size[0];
            let temple = [outer, 1.3].map(|right| place.point([side * right, -0.3 * self.half_size[1]]));
            line(&mut mask, temple[0], temple[1], WHITE, thickness, LINE_AA, 0)?;
        }
        let inner = (0.5 - self.half_size[0]).max(0.0);
        let bridge = [-inner, inner].map(|right| place.point([right, -0.2 * self.half_size[1]]));
        line(&mut mask, bridge[0], bridge[1], WHITE, thickness, LINE_AA, 0)?;
        Ok(mask)
    }

    /// A slanted band across each lens.
    fn reflections(&self, place: &Place) -> opencv::Result<Mat> {
        let mut mask = place.canvas()?;
        let [width, height] = self.half_size;
        for side in [-1.0, 1.0] {
            let middle = 0.5 * side + self.reflection_place * width;
            let ends = [(0.3 * width, -height), (-0.3 * width, height)];
            let [upper, lower] = ends.map(|(right, down)| place.point([middle + right, down]));
            line(&mut mask, upper, lower, WHITE, place.length(0.15).max(1), LINE_AA, 0)?;
        }
        Ok(mask)
    }

    /// The outline of the left (-1) or right (1) lens: the upper half first, and the way round.
    fn outline(&self, place: &Place, side: f64) -> Vec<Point> {
        let [width, height] = self.half_size;
        (0..OUTLINE_POINTS)
            .map(|number| {
                let angle = std::f64::consts::PI * (1.0 + 2.0 * number as f64 / OUTLINE_POINTS as f64);
                let (sin, cos) = angle.sin_cos();
                let exponent = self.exponents[usize::from(sin > 0.0)];
                let on_superellipse = |share: f64| share.signum() * share.abs().powf(2.0 / exponent);
                let (x, y) = (on_superellipse(cos), on_superellipse(sin));
                place.point([0.5 * side + x * width * (1.0 - self.taper * y), y * height])
            })
            .collect()
    }
}

fn outlines(outline: Vec<Point>) -> Vector<Vector<Point>> {
    Vector::from_iter([Vector::from_iter(outline)])
}

/// Where the glasses are on a canvas that is larger than the picture.
struct Place {
    picture: Size,
    factor: i32,
    /// Middle between the eyes, in pixels of the canvas.
    middle: [f64; 2],
    /// In pixels of the canvas.
    eye_distance: f64,
    rotation: (f64, f64),
}

impl Place {
    fn new(glasses: &Glasses, layout: FaceLayout, picture: Size) -> Self {
        let factor = (CANVAS_SIDE_PX / picture.width.max(picture.height).max(1)).max(1);
        let [width, height] = [picture.width, picture.height].map(|side| f64::from(side * factor));
        let eye_distance = layout.eye_distance * width;
        let [right, down] = glasses.shift.map(|shift| shift * eye_distance);
        let middle = [width / 2.0 + right, height * layout.eyes_y + down];
        Self { picture, factor, middle, eye_distance, rotation: glasses.rotation_radians.sin_cos() }
    }

    /// A point right of and below the middle of the glasses.
    fn point(&self, [right, down]: [f64; 2]) -> Point {
        let (sin, cos) = self.rotation;
        let turned = [cos * right - sin * down, sin * right + cos * down];
        let [x, y] = [0, 1].map(|axis| (self.middle[axis] + turned[axis] * self.eye_distance).round() as i32);
        Point::new(x, y)
    }

    fn length(&self, eye_distances: f64) -> i32 {
        (eye_distances * self.eye_distance).round() as i32
    }

    fn canvas(&self) -> opencv::Result<Mat> {
        let [rows, columns] = [self.picture.height, self.picture.width].map(|side| side * self.factor);
        Mat::new_rows_cols_with_default(rows, columns, CV_8UC1, Scalar::all(0.0))
    }

    /// How much of each pixel of the picture a mask covers, 0 to 1.
    fn opacity(&self, mask: &Mat) -> opencv::Result<Vec<f32>> {
        let mut small = Mat::default();
        resize(mask, &mut small, self.picture, 0.0, 0.0, INTER_AREA)?;
        Ok(small.data_bytes()?.iter().map(|byte| f32::from(*byte) / 255.0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, numbers};

    /// 60 x 40: the eyes are at 18 and 42, 14.
    const LAYOUT: FaceLayout = FaceLayout { eye_distance: 0.4, eyes_y: 0.35, mouth_y: 0.75 };

    const PLAIN: Glasses = Glasses {
        half_size: [0.3, 0.2],
        exponents: [4.0, 4.0],
        taper: 0.0,
        shift: [0.0, 0.0],
        rotation_radians: 0.0,
        thickness: 0.08,
        has_lower_rim: true,
        frame_gray: 10.0,
        lens_opacity: 0.0,
        lens_gray: 0.0,
        reflection: 0.0,
        reflection_place: 0.0,
    };

    fn on_gray(glasses: &Glasses) -> Mat {
        let face = Mat::new_rows_cols_with_default(40, 60, CV_8UC1, Scalar::all(100.0)).unwrap();
        glasses.put_on(&face, LAYOUT).unwrap()
    }

    fn at(picture: &Mat, x: i32, y: i32) -> u8 {
        *picture.at_2d::<u8>(y, x).unwrap()
    }

    #[test]
    fn frames_surround_the_eyes_and_leave_them_and_the_mouth_clear() {
        let picture = on_gray(&PLAIN);
        // Lenses are 14.4 wide and 9.6 high: their edges at 10.8, 25.2, 34.8, 49.2 and at 9.2 and 18.8.
        for (x, y) in [(18, 14), (42, 14), (30, 30), (18, 30)] {
            assert_eq!(at(&picture, x, y), 100, "at {x},{y}");
        }
        for (x, y) in [(10, 14), (25, 14), (34, 14), (49, 14), (18, 9), (42, 18)] {
            assert!(at(&picture, x, y) < 60, "at {x},{y}: {}", at(&picture, x, y));
        }
        // The bridge and the temples.
        assert!(at(&picture, 30, 13) < 60 && at(&picture, 2, 12) < 60 && at(&picture, 57, 12) < 60);
    }

    #[test]
    fn lenses_are_tinted_and_reflect() {
        let tinted = on_gray(&Glasses { lens_opacity: 0.5, lens_gray: 20.0, ..PLAIN });
        assert_eq!(at(&tinted, 18, 14), 60);
        let reflecting = on_gray(&Glasses { reflection: 0.6, ..PLAIN });
        assert!(at(&reflecting, 18, 14) > 180 && at(&reflecting, 22, 14) == 100, "{reflecting:?}");
        let rimless = on_gray(&Glasses { has_lower_rim: false, ..PLAIN });
        assert!(at(&rimless, 18, 9) < 60 && at(&rimless, 18, 18) == 100);
    }

    #[test]
    fn they_sit_where_they_are_shifted_and_turned_to() {
        // 0.25 of the eye distance of 24 is 6 pixels.
        let moved = on_gray(&Glasses { shift: [0.25, 0.25], ..PLAIN });
        assert!(at(&moved, 31, 20) < 60 && at(&moved, 24, 20) == 100 && at(&moved, 24, 15) < 60);
        // A right turn lowers the right side of the picture.
        let turned = on_gray(&Glasses { rotation_radians: 0.2, ..PLAIN });
        assert!(at(&turned, 42, 11) < 60 && at(&turned, 18, 6) < 60);
    }

    #[test]
    fn no_drawn_glasses_are_the_elliptical_ones_of_the_measurement() {
        for index in 0..300 {
            let glasses = Glasses::draw(&mut numbers(7, 0, Purpose::Glasses(index)));
            assert!(glasses.exponents.iter().all(|exponent| *exponent >= 2.6), "{glasses:?}");
            let picture = on_gray(&glasses);
            assert_eq!((picture.rows(), picture.cols()), (40, 60));
        }
    }
}
