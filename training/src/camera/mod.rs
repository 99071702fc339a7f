//! What a robot's camera does to a face, drawn at random while a network learns, so that it does not change the answers.
//!
//! `face_attributes evaluate --corrupt` measures the same kinds of faults, but with other code and other forms, which stay unseen:
//! here a blur is that of a lens or of a trembling hand, there Gaussian or along a line. Here noise is uniform with a grain, there
//! Gaussian. Here compression rounds cosine coefficients evenly, there it is JPEG. Here low light is a gamma curve and back light a
//! ramp, there they are lost photons and glare from the border. Here a turned head is a plane, there a cylinder.

mod blur;

use blur::Blur;
use opencv::core::{
    BORDER_REPLICATE, CV_32FC1, DCT_INVERSE, Mat, Rect, Scalar, Size, copy_make_border_def, dct, dct_def,
};
use opencv::imgproc::{INTER_AREA, INTER_CUBIC, INTER_LINEAR, resize, warp_perspective};
use opencv::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::recipe::CameraRecipe;

/// Side of the blocks that compression transforms, in pixels.
const BLOCK_PX: i32 = 8;
/// From the camera to a turned face, in widths of the face.
const CAMERA_DISTANCE: f64 = 3.0;

/// The faults of one image. Amounts are in the units of [`CameraRecipe`], and 0 is none.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraFaults {
    low_light: f64,
    back_light: f64,
    /// Direction in which the light gets weaker.
    back_light_radians: f64,
    blur: Blur,
    /// Longer side of the face in the camera's image.
    face_px: Option<f64>,
    is_smooth: bool,
    noise: f64,
    grain_px: i32,
    noise_seed: u64,
    compression: f64,
    /// Where the first block begins.
    block_offset: [i32; 2],
    /// See [`CameraFaults::box_offset`].
    box_offset: BoxOffset,
    /// Of the head; positive moves what is right of its middle away from the camera.
    turn_radians: f64,
}

/// How far the box of a face is off: its shift and the relative change of its side.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BoxOffset {
    /// To the right and down, as fractions of the side.
    pub shift: [f64; 2],
    /// 0 is the right size.
    pub growth: f64,
}

impl CameraFaults {
    /// Random faults; `None` for the share of the images that have none.
    pub fn draw(recipe: &CameraRecipe, numbers: &mut impl Rng) -> Option<Self> {
        if numbers.random::<f64>() >= recipe.share {
            return None;
        }
        // Each kind of fault occurs in half of these images, so that most images have several.
        let amount = |numbers: &mut _, largest: f64| {
            let [occurs, share]: [f64; 2] = [(); 2].map(|()| Rng::random(numbers));
            if occurs < 0.5 { share * largest } else { 0.0 }
        };
        let smallest_face_px = f64::from(recipe.smallest_face_px);
        let blur = amount(numbers, recipe.blur);
        let face_share = amount(numbers, 1.0);
        let box_offset = amount(numbers, recipe.box_offset);
        let [right, down, growth] = [(); 3].map(|()| box_offset * (2.0 * numbers.random::<f64>() - 1.0));
        Some(Self {
            low_light: amount(numbers, recipe.low_light),
            back_light: amount(numbers, recipe.back_light),
            back_light_radians: std::f64::consts::TAU * numbers.random::<f64>(),
            blur: Blur::draw(blur, numbers),
            // Small faces as often as large ones, up to three times the smallest.
            face_px: (smallest_face_px > 0.0 && face_share > 0.0)
                .then_some(smallest_face_px * (1.0 + 2.0 * face_share)),
            is_smooth: numbers.random(),
            noise: amount(numbers, recipe.noise),
            grain_px: numbers.random_range(1..=2),
            noise_seed: numbers.random(),
            compression: amount(numbers, recipe.compression),
            block_offset: [numbers.random_range(0..BLOCK_PX), numbers.random_range(0..BLOCK_PX)],
            box_offset: BoxOffset { shift: [right, down], growth },
            turn_radians: (amount(numbers, recipe.turn_degrees) * if numbers.random() { 1.0 } else { -1.0 })
                .to_radians(),
        })
    }

    /// How far the face's box is off. The picture shows nothing beyond the box, so its border is replicated there.
    pub fn box_offset(&self) -> BoxOffset {
        self.box_offset
    }

    /// The face with these faults: grey, 8-bit, of the size of `picture`.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn apply(&self, picture: &Mat) -> opencv::Result<Mat> {
        let mut image = Mat::default();
        picture.convert_to_def(&mut image, CV_32FC1)?;
        self.light(&mut image)?;
        image = self.turned(image)?;
        image = self.blur.apply(&image)?;
        image = self.small(image)?;
        if self.noise > 0.0 {
            self.add_noise(&mut image)?;
        }
        if self.compression > 0.0 {
            image = self.compressed(&image)?;
        }
        let mut bytes = Mat::default();
        image.convert_to_def(&mut bytes, opencv::core::CV_8UC1)?;
        Ok(bytes)
    }

    /// Low light bends the curve of brightness down. Back light lies on one side, and shades the other one.
    fn light(&self, image: &mut Mat) -> opencv::Result<()> {
        let [width, height] = [f64::from(image.cols()), f64::from(image.rows())];
        let (sin, cos) = self.back_light_radians.sin_cos();
        let (gamma, gain) = (1.0 + 1.5 * self.low_light, 1.0 - 0.6 * self.low_light);
        for y in 0..image.rows() {
            let down = (f64::from(y) + 0.5) / height - 0.5;
            for (x, value) in image.at_row_mut::<f32>(y)?.iter_mut().enumerate() {
                let right = (x as f64 + 0.5) / width - 0.5;
                let from_light = (0.5 + (right * cos + down * sin) / std::f64::consts::SQRT_2).clamp(0.0, 1.0);
                let dark = 255.0 * gain * (f64::from(*value) / 255.0).powf(gamma);
                let shaded = dark * (1.0 - self.back_light * (0.3 + 0.5 * from_light));
                *value = (shaded + 255.0 * 0.5 * self.back_light * (1.0 - from_light)) as f32;
            }
        }
        Ok(())
    }

    /// A plane that turns about its upright middle line, as a camera sees it from near.
    fn turned(&self, image: Mat) -> opencv::Result<Mat> {
        if self.turn_radians == 0.0 {
            return Ok(image);
        }
        let size = image.size()?;
        let [middle_x, middle_y] = [size.width, size.height].map(|side| f64::from(side - 1) / 2.0);
        let (sin, cos) = self.turn_radians.sin_cos();
        // From a point of the plane to its picture: x cos / depth and y / depth, with depth = 1 + x sin / distance.
        let nearness = sin / (CAMERA_DISTANCE * f64::from(size.width));
        let (centre, back) = (
            [[1.0, 0.0, -middle_x], [0.0, 1.0, -middle_y], [0.0, 0.0, 1.0]],
            [[1.0, 0.0, middle_x], [0.0, 1.0, middle_y], [0.0, 0.0, 1.0]],
        );
        let turn = [[cos, 0.0, 0.0], [0.0, 1.0, 0.0], [nearness, 0.0, 1.0]];
        let map = Mat::from_slice_2d(&product(back, product(turn, centre)))?;
        let mut turned = Mat::default();
        warp_perspective(&image, &mut turned, &map, size, INTER_LINEAR, BORDER_REPLICATE, Scalar::default())?;
        Ok(turned)
    }

    /// A face that the camera sees with few pixels, scaled up again.
    fn small(&self, image: Mat) -> opencv::Result<Mat> {
        let size = image.size()?;
        let factor = self.face_px.map_or(1.0, |face_px| face_px / f64::from(size.width.max(size.height)));
        if factor >= 1.0 {
            return Ok(image);
        }
        let [width, height] = [size.width, size.height].map(|side| (f64::from(side) * factor).round().max(1.0) as i32);
        let (mut small, mut large) = (Mat::default(), Mat::default());
        resize(&image, &mut small, Size::new(width, height), 0.0, 0.0, INTER_AREA)?;
        let interpolation = if self.is_smooth { INTER_CUBIC } else { INTER_LINEAR };
        resize(&small, &mut large, size, 0.0, 0.0, interpolation)?;
        Ok(large)
    }

    /// Uniform noise with a grain, stronger in bright parts.
    fn add_noise(&self, image: &mut Mat) -> opencv::Result<()> {
        let mut numbers = ChaCha8Rng::seed_from_u64(self.noise_seed);
        let size = image.size()?;
        let [rows, columns] = [size.height, size.width].map(|side| (side / self.grain_px).max(1));
        let grains: Vec<f32> = (0..rows * columns).map(|_| 2.0 * numbers.random::<f32>() - 1.0).collect();
        let mut noise = Mat::default();
        let grains = Mat::new_rows_cols_with_data(rows, columns, &grains)?;
        resize(&grains, &mut noise, size, 0.0, 0.0, INTER_LINEAR)?;
        for y in 0..size.height {
            for (value, noise) in image.at_row_mut::<f32>(y)?.iter_mut().zip(noise.at_row::<f32>(y)?) {
                *value += (255.0 * self.noise) as f32 * noise * (0.5 + *value / 255.0);
            }
        }
        Ok(())
    }

    /// The cosine coefficients of each block, rounded to multiples of one step.
    fn compressed(&self, image: &Mat) -> opencv::Result<Mat> {
        let step = (255.0 * self.compression) as f32;
        let [left, top] = self.block_offset;
        let missing = |side: i32, before: i32| (BLOCK_PX - (side + before) % BLOCK_PX) % BLOCK_PX;
        let (bottom, right) = (missing(image.rows(), top), missing(image.cols(), left));
        let mut padded = Mat::default();
        copy_make_border_def(image, &mut padded, top, bottom, left, right, BORDER_REPLICATE)?;
        for y in (0..padded.rows()).step_by(BLOCK_PX as usize) {
            for x in (0..padded.cols()).step_by(BLOCK_PX as usize) {
                let mut block = Mat::roi_mut(&mut padded, Rect::new(x, y, BLOCK_PX, BLOCK_PX))?;
                let (mut coefficients, mut rounded) = (Mat::default(), Mat::default());
                dct_def(&block, &mut coefficients)?;
                for value in coefficients.data_typed_mut::<f32>()? {
                    *value = (*value / step).round() * step;
                }
                dct(&coefficients, &mut rounded, DCT_INVERSE)?;
                rounded.copy_to(&mut block)?;
            }
        }
        Mat::roi(&padded, Rect::new(left, top, image.cols(), image.rows()))?.try_clone()
    }
}

fn product(a: [[f64; 3]; 3], b: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    a.map(|row| [0, 1, 2].map(|column| (0..3).map(|it| row[it] * b[it][column]).sum()))
}

#[cfg(test)]
mod tests {
    use opencv::core::CV_8UC1;

    use super::*;
    use crate::random::{Purpose, numbers};

    const NONE: CameraFaults = CameraFaults {
        low_light: 0.0,
        back_light: 0.0,
        back_light_radians: 0.0,
        blur: Blur::Lens(0.0),
        face_px: None,
        is_smooth: false,
        noise: 0.0,
        grain_px: 1,
        noise_seed: 5,
        compression: 0.0,
        block_offset: [3, 5],
        box_offset: BoxOffset { shift: [0.0, 0.0], growth: 0.0 },
        turn_radians: 0.0,
    };

    /// 50 x 30, no symmetry, with an edge at column 20.
    fn picture() -> Mat {
        let rows: Vec<Vec<u8>> =
            (0..30).map(|y| (0..50).map(|x| (40 + y + if x < 20 { 0 } else { 120 } + x % 3) as u8).collect()).collect();
        Mat::from_slice_2d(&rows).unwrap()
    }

    fn changed(faults: &CameraFaults) -> Vec<u8> {
        let changed = faults.apply(&picture()).unwrap();
        assert_eq!((changed.cols(), changed.rows(), changed.typ()), (50, 30, CV_8UC1));
        changed.data_bytes().unwrap().to_vec()
    }

    fn original() -> Vec<u8> {
        picture().data_bytes().unwrap().to_vec()
    }

    fn mean(pixels: &[u8]) -> f64 {
        pixels.iter().map(|pixel| f64::from(*pixel)).sum::<f64>() / pixels.len() as f64
    }

    fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
        a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn without_faults_the_image_stays() {
        assert_eq!(changed(&NONE), original());
    }

    #[test]
    fn low_light_darkens_and_back_light_shades_one_side() {
        let dark = changed(&CameraFaults { low_light: 0.5, ..NONE });
        assert!(mean(&dark) < 0.6 * mean(&original()), "{}", mean(&dark));
        // The light comes from the left: the dark left side gets lighter, the bright right side darker.
        let lit = changed(&CameraFaults { back_light: 0.6, ..NONE });
        let (row, before) = (&lit[..50], &original()[..50]);
        assert!(row[2] > before[2] && row[48] < before[48], "{row:?}");
        let turned = changed(&CameraFaults { back_light: 0.6, back_light_radians: std::f64::consts::PI, ..NONE });
        assert!(turned[48] > lit[48] && turned[2] < lit[2]);
    }

    #[test]
    fn a_blur_keeps_the_brightness_and_softens_the_edge() {
        let hand = Blur::Hand(vec![[-0.04, 0.0], [0.0, 0.0], [0.04, 0.0]]);
        for blur in [Blur::Lens(0.05), hand] {
            let soft = changed(&CameraFaults { blur: blur.clone(), ..NONE });
            let step = |pixels: &[u8]| pixels[15 * 50 + 20] - pixels[15 * 50 + 19];
            assert!(step(&soft) < step(&original()) / 2, "{blur:?}");
            assert!((mean(&soft) - mean(&original())).abs() < 1.0, "{blur:?}");
        }
    }

    // The middle of 50 columns is at 24.5. At 0.5 radians, a point 4.5 left of it gets nearer, to 4.5 cos / (1 - 4.5 sin / 150).
    #[test]
    fn a_turned_face_is_narrower_and_its_near_side_larger() {
        let turned = changed(&CameraFaults { turn_radians: 0.5, ..NONE });
        // The edge at 19.5, with its middle between 40 + y and 160 + y.
        let row = &turned[15 * 50..16 * 50];
        let edge = row.iter().position(|pixel| *pixel > 115).unwrap();
        assert!((20..=21).contains(&edge), "{edge}: {row:?}");
        // Above the middle of 30 rows, the brightness grows with the row: nearer columns show rows that are nearer to the middle.
        let mirrored = changed(&CameraFaults { turn_radians: -0.5, ..NONE });
        assert!(turned[2 * 50 + 6] > mirrored[2 * 50 + 6], "{} {}", turned[2 * 50 + 6], mirrored[2 * 50 + 6]);
    }

    #[test]
    fn a_small_face_loses_its_detail() {
        for is_smooth in [false, true] {
            let small = changed(&CameraFaults { face_px: Some(10.0), is_smooth, ..NONE });
            assert!(largest_difference(&small, &original()) > 30);
        }
        assert_eq!(changed(&CameraFaults { face_px: Some(80.0), ..NONE }), original());
    }

    #[test]
    fn noise_is_as_large_as_drawn_and_the_same_each_time() {
        for grain_px in [1, 2] {
            let noisy = changed(&CameraFaults { noise: 0.1, grain_px, ..NONE });
            let largest = largest_difference(&noisy, &original());
            // 0.1 of 255, by up to 0.5 + 190 / 255.
            assert!((15..=33).contains(&largest), "{largest}");
            assert_eq!(noisy, changed(&CameraFaults { noise: 0.1, grain_px, ..NONE }));
        }
        let other = CameraFaults { noise: 0.1, noise_seed: 6, ..NONE };
        assert_ne!(changed(&other), changed(&CameraFaults { noise: 0.1, ..NONE }));
    }

    // A coefficient is off by at most half a step, and those of a block of 8 x 8 have the same energy as its pixels.
    #[test]
    fn compression_rounds_the_blocks() {
        let compressed = changed(&CameraFaults { compression: 0.08, ..NONE });
        let before = original();
        let errors = compressed.iter().zip(&before).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>();
        let rms = (errors / before.len() as f64).sqrt();
        assert!(rms > 1.0 && rms < 0.08 * 255.0 / 2.0, "{rms}");
        assert_ne!(compressed, changed(&CameraFaults { compression: 0.08, block_offset: [0, 0], ..NONE }));
    }

    #[test]
    fn draws_stay_within_the_recipe() {
        let recipe = CameraRecipe {
            share: 0.5,
            blur: 0.05,
            noise: 0.1,
            compression: 0.2,
            low_light: 0.7,
            back_light: 0.6,
            smallest_face_px: 24,
            box_offset: 0.2,
            turn_degrees: 30.0,
        };
        let draw = |index| CameraFaults::draw(&recipe, &mut numbers(3, 0, Purpose::Camera(index)));
        let drawn: Vec<_> = (0..600).filter_map(draw).collect();
        assert!((250..350).contains(&drawn.len()), "{}", drawn.len());
        for faults in &drawn {
            let CameraFaults { noise, compression, low_light, back_light, box_offset, .. } = faults;
            let amounts = [(noise, 0.1), (compression, 0.2), (low_light, 0.7), (back_light, 0.6)];
            assert!(amounts.iter().all(|(amount, largest)| (0.0..=*largest).contains(*amount)), "{faults:?}");
            let BoxOffset { shift: [right, down], growth } = box_offset;
            assert!([right, down, growth].iter().all(|offset| offset.abs() <= 0.2), "{faults:?}");
            assert!(faults.face_px.is_none_or(|face_px| (24.0..=72.0).contains(&face_px)), "{faults:?}");
            assert!(faults.turn_radians.abs() <= 30.0_f64.to_radians(), "{faults:?}");
            let reach = match &faults.blur {
                Blur::Lens(radius) => *radius,
                Blur::Hand(way) => way.iter().map(|[x, y]| x.hypot(*y)).fold(0.0, f64::max),
            };
            assert!(reach <= 0.05 + 1e-9, "{faults:?}");
        }
        let occurs =
            |has: fn(&CameraFaults) -> bool| drawn.iter().filter(|faults| has(faults)).count() * 100 / drawn.len();
        let shares = [occurs(|it| it.noise > 0.0), occurs(|it| it.face_px.is_some()), occurs(|it| it.low_light > 0.3)];
        assert!((40..60).contains(&shares[0]) && (40..60).contains(&shares[1]) && shares[2] > 15, "{shares:?}");
        let none = CameraRecipe { share: 0.0, ..recipe };
        assert!((0..50).all(|index| CameraFaults::draw(&none, &mut numbers(3, 0, Purpose::Camera(index))).is_none()));
    }
}
