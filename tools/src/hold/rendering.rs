//! A picture of a face, as a camera and a detector would show it frame by frame.

use opencv::core::{self, CV_32F, Mat, RNG, RNG_NORMAL, Scalar, Size};
use opencv::imgproc::{self, resize};
use opencv::prelude::*;

use super::RATE_HZ;
use face_attributes::faces::BoundingBox;

/// What disturbs the frames. The deviations are standard deviations of normal distributions. Box and noise are independent from
/// frame to frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// The name, for reports.
    pub name: &'static str,
    /// Smallest and largest side of the face in pixels. Each person has one size.
    pub side_px: (i32, i32),
    /// Deviation of the box's place, as a fraction of the face's side.
    pub place: f64,
    /// Deviation of the box's side, as a fraction of the face's side.
    pub size: f64,
    /// Deviation of each pixel in grey levels.
    pub noise: f64,
    /// Deviation of the Gaussian blur's sigma, as a fraction of the face's side. It changes slowly.
    pub blur: f64,
    /// Deviation of the brightness, as a fraction. It changes slowly.
    pub brightness: f64,
}

/// A large face in good light, and a steady detector.
pub const STEADY: Conditions = Conditions {
    name: "steady",
    side_px: (64, 96),
    place: 0.02,
    size: 0.03,
    noise: 4.0,
    blur: 0.005,
    brightness: 0.05,
};

/// A small face in bad light that moves, and a detector that is not steady.
pub const NOISY: Conditions =
    Conditions { name: "noisy", side_px: (48, 72), place: 0.08, size: 0.1, noise: 5.0, blur: 0.02, brightness: 0.2 };

/// Time constant in seconds after which a slow disturbance is another one.
const CORRELATION_SECS: f64 = 0.1;
/// What surrounds the face on each side, as a fraction of its side: the picture's border is continued.
const SURROUNDINGS: f64 = 0.7;
/// Random numbers that are not used.
const WARM_UP: u32 = 10;
/// Sigma in pixels below which a blur changes nothing.
const MIN_BLUR_PX: f64 = 0.2;

/// A number with mean 0 and deviation 1 that changes slowly (a first-order autoregressive process).
#[derive(Debug, Default)]
struct Autoregressive(Option<f64>);

impl Autoregressive {
    fn next(&mut self, random: &mut RNG) -> opencv::Result<f64> {
        let new = random.gaussian(1.0)?;
        let kept = (-1.0 / (RATE_HZ * CORRELATION_SECS)).exp();
        let value = self.0.map_or(new, |before| kept * before + (1.0 - kept * kept).sqrt() * new);
        self.0 = Some(value);
        Ok(value)
    }
}

/// The frames of one person.
pub struct Rendering {
    conditions: Conditions,
    random: RNG,
    side: i32,
    /// The picture with its surroundings.
    scene: Mat,
    blur: Autoregressive,
    brightness: Autoregressive,
}

impl Rendering {
    /// The same `seed` gives the same disturbances.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn new(conditions: &Conditions, seed: u64) -> opencv::Result<Self> {
        let mut random = RNG::new(seed)?;
        // The first numbers of seeds that are alike are alike.
        for _ in 0..WARM_UP {
            random.gaussian(1.0)?;
        }
        let (smallest, largest) = conditions.side_px;
        let side = random.uniform(smallest, largest + 1)?;
        let [blur, brightness] = Default::default();
        Ok(Self { conditions: *conditions, random, side, scene: Mat::default(), blur, brightness })
    }

    /// Shows `picture` (height x width, 8-bit, one channel) from the next frame on.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn show(&mut self, picture: &Mat) -> opencv::Result<()> {
        let interpolation = if picture.cols() > self.side { imgproc::INTER_AREA } else { imgproc::INTER_LINEAR };
        let mut face = Mat::default();
        resize(picture, &mut face, Size::new(self.side, self.side), 0.0, 0.0, interpolation)?;
        let border = self.border();
        core::copy_make_border_def(&face, &mut self.scene, border, border, border, border, core::BORDER_REPLICATE)
    }

    /// The next frame (grey, height x width, 8-bit), and the box in which a detector finds the face.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn next_frame(&mut self) -> opencv::Result<(Mat, BoundingBox)> {
        let blur = self.blur.next(&mut self.random)?.abs() * self.conditions.blur * f64::from(self.side);
        let gain = 1.0 + self.brightness.next(&mut self.random)? * self.conditions.brightness;
        let mut bright = Mat::default();
        if blur > MIN_BLUR_PX {
            let mut blurred = Mat::default();
            imgproc::gaussian_blur(&self.scene, &mut blurred, Size::default(), blur, blur, core::BORDER_REPLICATE)?;
            blurred.convert_to(&mut bright, CV_32F, gain, 0.0)?;
        } else {
            self.scene.convert_to(&mut bright, CV_32F, gain, 0.0)?;
        }
        let mut noise = Mat::new_size_with_default(bright.size()?, CV_32F, Scalar::default())?;
        let (mean, deviation) = (Scalar::default(), Scalar::all(self.conditions.noise));
        self.random.fill_def(&mut noise, RNG_NORMAL, &mean, &deviation)?;
        let (mut noisy, mut frame) = (Mat::default(), Mat::default());
        core::add_def(&bright, &noise, &mut noisy)?;
        noisy.convert_to_def(&mut frame, core::CV_8U)?;
        Ok((frame, self.next_box()?))
    }

    fn next_box(&mut self) -> opencv::Result<BoundingBox> {
        let (side, middle) = (f64::from(self.side), f64::from(self.border()) + f64::from(self.side) / 2.0);
        let Conditions { place, size, .. } = self.conditions;
        let box_side = side * (1.0 + self.random.gaussian(size)?);
        let x = middle - box_side / 2.0 + self.random.gaussian(place)? * side;
        let y = middle - box_side / 2.0 + self.random.gaussian(place)? * side;
        let [x, y, box_side] = [x, y, box_side.max(1.0)].map(|value| value.round() as i32);
        Ok(BoundingBox { x, y, width: box_side, height: box_side })
    }

    fn border(&self) -> i32 {
        (f64::from(self.side) * SURROUNDINGS).round() as i32
    }
}

#[cfg(test)]
mod tests {
    use opencv::core::{CV_8UC1, mean_std_dev_def};

    use super::*;

    const STILL: Conditions =
        Conditions { name: "still", side_px: (40, 40), place: 0.0, size: 0.0, noise: 0.0, blur: 0.0, brightness: 0.0 };

    fn frames(conditions: &Conditions, count: usize) -> Vec<(Mat, BoundingBox)> {
        let rows: Vec<Vec<u8>> = (0..60_u8).map(|y| (0..50).map(|x| 60 + 2 * y / 3 + x).collect()).collect();
        let mut rendering = Rendering::new(conditions, 7).unwrap();
        rendering.show(&Mat::from_slice_2d(&rows).unwrap()).unwrap();
        (0..count).map(|_| rendering.next_frame().unwrap()).collect()
    }

    fn deviation(values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn without_disturbances_each_frame_shows_the_face_in_the_middle() {
        for (gray, roi) in frames(&STILL, 3) {
            assert_eq!((gray.typ(), gray.cols(), gray.rows()), (CV_8UC1, 96, 96));
            assert_eq!(roi, BoundingBox { x: 28, y: 28, width: 40, height: 40 });
        }
    }

    #[test]
    fn the_disturbances_have_the_deviations_asked_for() {
        let moving = Conditions { place: 0.1, size: 0.1, noise: 5.0, brightness: 0.1, ..STILL };
        let frames = frames(&moving, 3000);
        let of = |value: fn(&(Mat, BoundingBox)) -> f64| frames.iter().map(value).collect::<Vec<_>>();
        let middle = deviation(&of(|(_, roi)| roi.center().0));
        assert!((middle - 4.0).abs() < 0.5, "{middle}");
        let side = deviation(&of(|(_, roi)| f64::from(roi.width)));
        assert!((side - 4.0).abs() < 0.5, "{side}");
        let mean = |gray: &Mat| {
            let (mut mean, mut deviation) = (Scalar::default(), Scalar::default());
            mean_std_dev_def(gray, &mut mean, &mut deviation).unwrap();
            mean[0]
        };
        let brightness: Vec<_> = frames.iter().map(|(gray, _)| mean(gray)).collect();
        let level = brightness.iter().sum::<f64>() / brightness.len() as f64;
        assert!((deviation(&brightness) / level - 0.1).abs() < 0.015);
        // The noise alone: one pixel, relative to the brightness of its frame.
        let pixel: Vec<_> =
            frames.iter().map(|(gray, _)| f64::from(*gray.at_2d::<u8>(0, 0).unwrap()) * level / mean(gray)).collect();
        assert!((deviation(&pixel) - 5.0).abs() < 0.6, "{}", deviation(&pixel));
    }

    #[test]
    fn the_brightness_changes_slowly() {
        let flickering = Conditions { brightness: 0.1, ..STILL };
        let pixel: Vec<_> =
            frames(&flickering, 600).iter().map(|(gray, _)| f64::from(*gray.at_2d::<u8>(0, 0).unwrap())).collect();
        let change =
            |frames: usize| deviation(&pixel.iter().zip(&pixel[frames..]).map(|(a, b)| b - a).collect::<Vec<_>>());
        assert!(change(1) < 0.8 * change(30), "{} {}", change(1), change(30));
    }
}
