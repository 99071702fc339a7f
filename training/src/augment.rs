//! Augmentation: random views of a picture.

use face_attributes::network::PixelRange;
use opencv::core::{BORDER_REPLICATE, Mat, Scalar, Size, add_weighted_def};
use opencv::imgproc::{INTER_AREA, INTER_LINEAR, WARP_INVERSE_MAP, gaussian_blur_def, resize, warp_affine};
use opencv::prelude::*;
use rand::Rng;

use crate::camera::BoxOffset;
use crate::recipe::Augmentation;

/// The range that networks are trained with.
pub const PIXEL_RANGE: PixelRange = PixelRange::MinusOneToOne;

/// Standard deviation of the blur for sharpening, in pixels of the picture. Sharpening adds the difference from the blurred
/// picture.
const SHARPNESS_SIGMA_PX: f64 = 0.6;

/// A view of a picture. Lengths are fractions of the side of the cropped square.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Margin around the picture on each side, as a fraction of its longer side.
    margin: f64,
    /// Factor of the square's side.
    zoom: f64,
    /// Shift of the square to the right and down.
    shift: [f64; 2],
    /// Rotation of the square, clockwise as seen in the picture.
    rotation_radians: f64,
    /// Whether left and right are exchanged.
    is_mirrored: bool,
    /// Factor of the pixels, which are -1 to 1.
    contrast: f32,
    /// Added to the pixels after that.
    brightness: f32,
    /// Factor of the difference from the blurred picture, which is added to the picture.
    sharpness: f64,
}

impl View {
    /// A random view. The number of drawn random numbers does not depend on `augmentation`.
    pub fn draw(augmentation: &Augmentation, numbers: &mut impl Rng) -> Self {
        let mut between = |[least, largest]: [f64; 2]| {
            (least + largest) / 2.0 + (largest - least) / 2.0 * (2.0 * numbers.random::<f64>() - 1.0)
        };
        let to_either_side = |limit: f64| [-limit, limit];
        Self {
            margin: between(augmentation.margin),
            zoom: 1.0 + between(to_either_side(augmentation.zoom)),
            shift: [between(to_either_side(augmentation.shift)), between(to_either_side(augmentation.shift))],
            rotation_radians: between(to_either_side(augmentation.rotation_degrees)).to_radians(),
            is_mirrored: between([-1.0, 1.0]) < 0.0 && augmentation.mirror,
            contrast: 1.0 + between(to_either_side(augmentation.contrast)) as f32,
            // Black to white is 2 in -1 to 1.
            brightness: between(to_either_side(2.0 * augmentation.brightness)) as f32,
            sharpness: between(augmentation.sharpness),
        }
    }

    /// The view where the box of the face is off.
    pub fn with_box_off_by(self, offset: BoxOffset) -> Self {
        let [right, down] = [0, 1].map(|axis| self.shift[axis] + offset.shift[axis]);
        Self { shift: [right, down], zoom: self.zoom * (1.0 + offset.growth), ..self }
    }

    /// Appends the input of a network of `side_px`: pixels of -1 to 1, row by row.
    pub fn append_pixels(&self, picture: &Mat, side_px: usize, pixels: &mut Vec<f32>) -> opencv::Result<()> {
        let lit = |pixel: &u8| (PIXEL_RANGE.scale(*pixel) * self.contrast + self.brightness).clamp(-1.0, 1.0);
        pixels.extend(self.crop(picture, side_px)?.data_bytes()?.iter().map(lit));
        Ok(())
    }

    /// The same pixels in the form in which the robot gives them to a network, 0 to 255.
    pub fn pixels(&self, picture: &Mat, side_px: usize) -> opencv::Result<Vec<u8>> {
        let mut pixels = Vec::with_capacity(side_px * side_px);
        self.append_pixels(picture, side_px, &mut pixels)?;
        Ok(pixels.into_iter().map(|pixel| ((pixel + 1.0) * 127.5).round() as u8).collect())
    }

    /// The square of `side_px`, before brightness and contrast are changed.
    fn crop(&self, picture: &Mat, side_px: usize) -> opencv::Result<Mat> {
        let sharpened = if self.sharpness == 0.0 { None } else { Some(self.sharpened(picture)?) };
        let picture = sharpened.as_ref().unwrap_or(picture);
        let longer_side = f64::from(picture.cols().max(picture.rows()));
        let square_px = longer_side * (1.0 + 2.0 * self.margin) * self.zoom;
        // A square that shrinks is warped to twice the size and averaged. Direct sampling would skip pixels.
        let shrinks = square_px > side_px as f64;
        let side = side_px as i32;
        let warped_side = if shrinks { 2 * side } else { side };
        let map = Mat::from_slice_2d(&self.source_of_pixels(picture, square_px, f64::from(warped_side)))?;
        let mut crop = Mat::default();
        warp_affine(
            picture,
            &mut crop,
            &map,
            Size::new(warped_side, warped_side),
            INTER_LINEAR | WARP_INVERSE_MAP,
            BORDER_REPLICATE,
            Scalar::default(),
        )?;
        if shrinks {
            let mut averaged = Mat::default();
            resize(&crop, &mut averaged, Size::new(side, side), 0.0, 0.0, INTER_AREA)?;
            crop = averaged;
        }
        Ok(crop)
    }

    fn sharpened(&self, picture: &Mat) -> opencv::Result<Mat> {
        let (mut blurred, mut sharpened) = (Mat::default(), Mat::default());
        gaussian_blur_def(picture, &mut blurred, Size::default(), SHARPNESS_SIGMA_PX)?;
        add_weighted_def(picture, 1.0 + self.sharpness, &blurred, -self.sharpness, 0.0, &mut sharpened)?;
        Ok(sharpened)
    }

    /// The affine map from a pixel of a crop of `side` pixels to its source in the picture. The centre of the pixel at 0 is
    /// at 0.5.
    fn source_of_pixels(&self, picture: &Mat, square_px: f64, side: f64) -> [[f64; 3]; 2] {
        let (sin, cos) = self.rotation_radians.sin_cos();
        let scale = square_px / side;
        let mirror = if self.is_mirrored { -1.0 } else { 1.0 };
        let linear = [[mirror * scale * cos, -scale * sin], [mirror * scale * sin, scale * cos]];
        let lengths = [f64::from(picture.cols()), f64::from(picture.rows())];
        let row = |axis: usize| {
            let middle = lengths[axis] / 2.0 + self.shift[axis] * square_px;
            let [x, y] = linear[axis];
            let middle_of_crop = (side - 1.0) / 2.0;
            [x, y, middle - 0.5 - (x + y) * middle_of_crop]
        };
        [row(0), row(1)]
    }
}

#[cfg(test)]
mod tests {
    use face_attributes::attributes::crop::crop_face;
    use face_attributes::faces::BoundingBox;
    use opencv::core::Rect;

    use super::*;
    use crate::random::{Purpose, numbers};

    const PLAIN: View = View {
        margin: 0.0,
        zoom: 1.0,
        shift: [0.0, 0.0],
        rotation_radians: 0.0,
        is_mirrored: false,
        contrast: 1.0,
        brightness: 0.0,
        sharpness: 0.0,
    };

    /// 8 columns, 6 rows, no symmetry, rows further apart than they are long.
    fn picture(wide: &Mat) -> opencv::boxed_ref::BoxedRef<'_, Mat> {
        Mat::roi(wide, Rect::new(1, 0, 8, 6)).unwrap()
    }

    fn wide() -> Mat {
        let rows: Vec<Vec<u8>> = (0..6).map(|y| (0..11).map(|x| (20 * x + 3 * y * y) as u8).collect()).collect();
        Mat::from_slice_2d(&rows).unwrap()
    }

    fn pixels(view: &View, side_px: usize) -> Vec<u8> {
        let wide = wide();
        let picture = picture(&wide).try_clone().unwrap();
        view.pixels(&picture, side_px).unwrap()
    }

    /// The crop of the robot.
    fn robots(margin: f64, side_px: i32) -> Vec<u8> {
        let wide = wide();
        let crop = crop_face(&picture(&wide), BoundingBox::of_image(8, 6), margin, Size::new(side_px, side_px));
        crop.unwrap().data_bytes().unwrap().to_vec()
    }

    // Scaled by 1, 2 and 1/2; OpenCV's warp rounds positions to 1/32 pixel.
    #[test]
    fn without_augmentation_it_is_the_robots_crop() {
        for (margin, side_px) in [(0.0, 8), (0.25, 12), (0.0, 16), (0.5, 8)] {
            let (ours, robots) = (pixels(&View { margin, ..PLAIN }, side_px), robots(margin, side_px as i32));
            let largest = ours.iter().zip(&robots).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(largest <= Some(2), "{margin} {side_px}: {ours:?}\n{robots:?}");
        }
    }

    #[test]
    fn a_mirrored_view_has_its_rows_turned_round() {
        let mirrored = pixels(&View { is_mirrored: true, ..PLAIN }, 8);
        let expected: Vec<u8> = robots(0.0, 8).chunks(8).flat_map(|row| row.iter().rev().copied()).collect();
        assert_eq!(mirrored, expected);
    }

    #[test]
    fn a_shifted_view_shows_what_lies_there() {
        let (shifted, plain) = (pixels(&View { shift: [0.25, -0.125], ..PLAIN }, 8), robots(0.0, 8));
        for (row, column) in [(1, 0), (4, 3), (7, 5)] {
            assert_eq!(shifted[8 * row + column], plain[8 * (row - 1) + column + 2]);
        }
    }

    // A box that is half as large again and off by a quarter of that to the right: 12 pixels, from 8 - 6 + 3 on.
    #[test]
    fn a_box_that_is_off_shows_what_lies_in_it() {
        let off = BoxOffset { shift: [0.25, 0.0], growth: 0.5 };
        let (shown, plain) = (pixels(&PLAIN.with_box_off_by(off), 12), robots(0.0, 8));
        for (row, column) in [(2, 0), (5, 2), (7, 4)] {
            assert_eq!(shown[12 * row + column], plain[8 * (row - 2) + column + 1], "{row} {column}");
        }
    }

    #[test]
    fn a_quarter_turn_turns_rows_into_columns() {
        let quarter = View { rotation_radians: std::f64::consts::FRAC_PI_2, ..PLAIN };
        let (turned, plain) = (pixels(&quarter, 8), robots(0.0, 8));
        for (row, column) in [(0, 0), (2, 5), (6, 1)] {
            assert_eq!(turned[8 * row + column], plain[8 * column + 7 - row]);
        }
    }

    #[test]
    fn brightness_and_contrast_stay_in_the_range() {
        let lit = pixels(&View { contrast: 0.5, brightness: 0.2, ..PLAIN }, 8);
        for (lit, plain) in lit.iter().zip(robots(0.0, 8)) {
            let expected = (f64::from(plain) / 127.5 - 1.0) * 0.5 + 0.2;
            assert!((f64::from(*lit) / 127.5 - 1.0 - expected).abs() < 0.005, "{plain} became {lit}");
        }
        assert!(pixels(&View { brightness: 2.0, ..PLAIN }, 8).iter().all(|pixel| *pixel == 255));
    }

    // An edge between columns 4 and 5: sharpened, it overshoots on both sides; blurred, it is less steep. Nothing else changes.
    #[test]
    fn sharpness_changes_edges_and_nothing_else() {
        let wide = Mat::from_slice_2d(&[[9, 50, 50, 50, 50, 150, 150, 150, 150, 9, 9_u8]; 6]).unwrap();
        let row = |sharpness: f64| {
            let picture = picture(&wide).try_clone().unwrap();
            View { sharpness, ..PLAIN }.pixels(&picture, 8).unwrap()[24..32].to_vec()
        };
        assert_eq!(row(0.0), [50, 50, 50, 50, 150, 150, 150, 150]);
        let (sharp, soft) = (row(0.5), row(-0.5));
        assert!(sharp[3] < 48 && sharp[4] > 152 && soft[3] > 52 && soft[4] < 148, "{sharp:?} {soft:?}");
        for row in [sharp, soft] {
            assert_eq!((row[0], row[1], row[6], row[7]), (50, 50, 150, 150));
        }
    }

    #[test]
    fn draws_stay_within_the_recipe() {
        let augmentation = Augmentation {
            margin: [0.2, 0.5],
            brightness: 0.1,
            contrast: 0.3,
            sharpness: [-0.2, 0.6],
            ..Augmentation::default()
        };
        let views: Vec<_> =
            (0..500).map(|index| View::draw(&augmentation, &mut numbers(0, 0, Purpose::Image(index)))).collect();
        assert!(views.iter().all(|view| (0.2..0.5).contains(&view.margin) && (0.9..1.1).contains(&view.zoom)));
        assert!(views.iter().all(|view| view.brightness.abs() <= 0.2 && (0.7..1.3).contains(&view.contrast)));
        assert!(views.iter().all(|view| (-0.2..0.6).contains(&view.sharpness)));
        assert!(views.iter().any(|view| view.sharpness < 0.0) && views.iter().any(|view| view.sharpness > 0.4));
        let mirrored = views.iter().filter(|view| view.is_mirrored).count();
        assert!((200..300).contains(&mirrored), "{mirrored}");
    }
}
