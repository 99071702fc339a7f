//! Changes of a picture of a face as a robot's camera, its detector and people's heads make them, in several severities.
//!
//! Each change is random and the same in every run: the picture's name and the change seed it. The trainer changes faces with
//! other code and other forms (`training/src/camera/` and `glasses.rs`), so that these stay unseen.
//!
//! A picture is taken for the box of a face. What happens to single pixels of a camera, which are noise, low light and JPEG, is
//! done at a face of at most [`FACE_PX`], as a camera with 640x480 pixels sees a person at about a metre. All other lengths are
//! fractions of the face.

mod geometry;
mod light;
mod optics;

use std::path::Path;

use clap::ValueEnum;
use opencv::core::{Mat, Rect2d};
use opencv::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::dataset::Picture;
use crate::occlusion::mask::{FaceLayout, Mask, Occlusion};
use face_attributes::faces::BoundingBox;

/// Longest side of a face whose single pixels are changed.
pub const FACE_PX: i32 = 96;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Corruption {
    /// Out of focus: a Gaussian.
    GaussianBlur,
    /// A motion along a line in a random direction during the exposure.
    MotionBlur,
    /// Gaussian noise.
    Noise,
    /// Compression.
    Jpeg,
    /// Few photons, and the noise of their number and of the sensor's electronics.
    LowLight,
    /// A dark face before a bright background whose glare reaches into the face.
    BackLight,
    /// A face of few pixels.
    SmallFace,
    /// A box that is off along both axes, in a random direction.
    BoxShift,
    /// A box that is too small or too large.
    BoxSize,
    /// A head tilted to a random side (roll), which is not turned upright.
    Tilt,
    /// A head turned to a random side (yaw), as if it were a cylinder.
    Turn,
    /// Drawn-on glasses in shapes that training never draws.
    Glasses,
}

impl Corruption {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::GaussianBlur,
        Self::MotionBlur,
        Self::Noise,
        Self::Jpeg,
        Self::LowLight,
        Self::BackLight,
        Self::SmallFace,
        Self::BoxShift,
        Self::BoxSize,
        Self::Tilt,
        Self::Turn,
        Self::Glasses,
    ];

    /// Its name, as on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Its severities, from weak to strong where there is an order.
    pub fn changes(self) -> Vec<Change> {
        match self {
            Self::GaussianBlur => [0.01, 0.02, 0.04].map(Change::GaussianBlur).to_vec(),
            Self::MotionBlur => [0.05, 0.1, 0.2].map(Change::MotionBlur).to_vec(),
            Self::Noise => [0.03, 0.06, 0.12].map(Change::Noise).to_vec(),
            Self::Jpeg => [50, 25, 10].map(Change::Jpeg).to_vec(),
            Self::LowLight => [0.5, 0.25, 0.1].map(Change::LowLight).to_vec(),
            Self::BackLight => [0.3, 0.5, 0.7].map(Change::BackLight).to_vec(),
            Self::SmallFace => [40, 32, 24].map(Change::SmallFace).to_vec(),
            Self::BoxShift => [0.1, 0.2].map(Change::BoxShift).to_vec(),
            Self::BoxSize => [0.8, 0.9, 1.1, 1.2].map(Change::BoxSize).to_vec(),
            Self::Tilt => [10.0, 20.0].map(Change::Tilt).to_vec(),
            Self::Turn => [15.0, 30.0].map(Change::Turn).to_vec(),
            Self::Glasses => Occlusion::GLASSES.iter().copied().map(Change::Glasses).collect(),
        }
    }

    /// Whether it can only be drawn where the places of the eyes are known.
    pub fn needs_layout(self) -> bool {
        self == Self::Glasses
    }
}

/// A change with its severity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Standard deviation.
    GaussianBlur(f64),
    /// Length of the line.
    MotionBlur(f64),
    /// Standard deviation; 1 is the range from black to white.
    Noise(f64),
    /// Quality, 0 to 100.
    Jpeg(i32),
    /// Share of the light that is left.
    LowLight(f64),
    /// Share of the glare.
    BackLight(f64),
    /// Longer side of the face in pixels. A smaller picture stays.
    SmallFace(i32),
    /// Shift along each axis.
    BoxShift(f64),
    /// Factor of the side.
    BoxSize(f64),
    /// Degrees.
    Tilt(f64),
    /// Degrees.
    Turn(f64),
    /// The shape.
    Glasses(Occlusion),
}

/// A picture after a change, and the box of the face that a detector would give.
#[derive(Debug)]
pub struct Corrupted {
    /// Grey, 8-bit.
    pub gray: Mat,
    /// In pixels of `gray`; it may leave the picture.
    pub face: BoundingBox,
}

impl Change {
    /// Its severity with its unit.
    pub fn severity(&self) -> String {
        match self {
            Self::GaussianBlur(sigma) => format!("sigma {sigma} of the face"),
            Self::MotionBlur(length) => format!("{length} of the face"),
            Self::Noise(deviation) => format!("sigma {deviation} of white"),
            Self::Jpeg(quality) => format!("quality {quality}"),
            Self::LowLight(share) => format!("{share} of the light"),
            Self::BackLight(share) => format!("glare {share}"),
            Self::SmallFace(side_px) => format!("{side_px} px"),
            Self::BoxShift(fraction) => format!("{fraction} of the side"),
            Self::BoxSize(factor) => format!("{factor} of the side"),
            Self::Tilt(degrees) | Self::Turn(degrees) => format!("{degrees} degrees"),
            Self::Glasses(shape) => shape.name().to_owned(),
        }
    }

    /// Changes a picture that shows one face and little else: grey, 8-bit. `layout` says where the eyes are; without it, no
    /// glasses are drawn.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn apply(&self, picture: &Mat, name: &Picture, layout: Option<FaceLayout>) -> opencv::Result<Corrupted> {
        let mut numbers = self.numbers(name);
        let gray = match *self {
            Self::GaussianBlur(sigma) => optics::gaussian_blur(picture, sigma)?,
            Self::MotionBlur(length) => optics::motion_blur(picture, length, &mut numbers)?,
            Self::Noise(deviation) => light::noisy(&optics::at_most(picture, FACE_PX)?, deviation, &mut numbers)?,
            Self::Jpeg(quality) => optics::jpeg(&optics::at_most(picture, FACE_PX)?, quality)?,
            Self::LowLight(share) => light::low_light(&optics::at_most(picture, FACE_PX)?, share, &mut numbers)?,
            Self::BackLight(share) => light::back_light(picture, share)?,
            Self::SmallFace(side_px) => optics::at_most(picture, side_px)?,
            Self::BoxShift(fraction) => {
                let face = geometry::shifted_box(picture, fraction, &mut numbers);
                return Ok(Corrupted { gray: picture.try_clone()?, face });
            }
            Self::BoxSize(factor) => {
                let face = geometry::sized_box(picture, factor);
                return Ok(Corrupted { gray: picture.try_clone()?, face });
            }
            Self::Tilt(degrees) => geometry::tilted(picture, geometry::to_a_side(degrees, &mut numbers))?,
            Self::Turn(degrees) => geometry::turned(picture, geometry::to_a_side(degrees, &mut numbers))?,
            Self::Glasses(shape) => {
                layout.map_or_else(|| picture.try_clone(), |layout| put_on(picture, shape, layout))?
            }
        };
        let face = BoundingBox::of_image(gray.cols(), gray.rows());
        Ok(Corrupted { gray, face })
    }

    /// Seeded by the name of the picture's file, or of its row in a table, and by the change.
    fn numbers(&self, name: &Picture) -> ChaCha8Rng {
        let name = name.to_string();
        let file = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
        ChaCha8Rng::from_seed(Sha256::digest(format!("{self:?} of {file}")).into())
    }
}

fn put_on(picture: &Mat, shape: Occlusion, layout: FaceLayout) -> opencv::Result<Mat> {
    let size = picture.size()?;
    let face = Rect2d::new(0.0, 0.0, f64::from(size.width), f64::from(size.height));
    let pixels = Mask::new(shape, layout, size, face)?.cover(picture.try_clone()?.data_bytes()?);
    Mat::new_rows_cols_with_data(size.height, size.width, &pixels)?.try_clone()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 60 x 40, no symmetry.
    pub fn picture() -> Mat {
        let pixel = |x: i32, y: i32| ((x * 7 + y * 3) % 90 + if x > 20 && y > 12 { 120 } else { 20 }) as u8;
        let rows: Vec<Vec<u8>> = (0..40).map(|y| (0..60).map(|x| pixel(x, y)).collect()).collect();
        Mat::from_slice_2d(&rows).unwrap()
    }

    pub fn mean(picture: &Mat) -> f64 {
        opencv::core::mean_def(picture).unwrap()[0]
    }

    fn file(name: &str) -> Picture {
        Picture::File(name.into())
    }

    fn bytes(corrupted: &Corrupted) -> Vec<u8> {
        corrupted.gray.data_bytes().unwrap().to_vec()
    }

    #[test]
    fn every_change_changes_something_and_is_the_same_each_time() {
        let layout = Some(FaceLayout::FER_2013);
        let whole = BoundingBox::of_image(60, 40);
        for change in Corruption::ALL.into_iter().flat_map(Corruption::changes) {
            let corrupt = |name: &str| change.apply(&picture(), &file(name), layout).unwrap();
            let (one, again, moved) = (corrupt("a/1.png"), corrupt("a/1.png"), corrupt("b/1.png"));
            assert_eq!((bytes(&one), one.face), (bytes(&again), again.face), "{change:?}");
            assert_eq!((bytes(&one), one.face), (bytes(&moved), moved.face), "{change:?}: the folder matters");
            let is_same = bytes(&one) == picture().data_bytes().unwrap() && one.face == whole;
            assert!(!is_same, "{change:?} changes nothing");
        }
    }

    #[test]
    fn pictures_differ_in_what_is_random() {
        let random = [Change::MotionBlur(0.2), Change::Noise(0.1), Change::LowLight(0.5), Change::Tilt(20.0)];
        for change in random.into_iter().chain([Change::Turn(30.0), Change::BoxShift(0.2)]) {
            let results: std::collections::HashSet<_> = (0..12)
                .map(|number| change.apply(&picture(), &file(&format!("{number}.png")), None).unwrap())
                .map(|corrupted| (bytes(&corrupted), corrupted.face.x, corrupted.face.y))
                .collect();
            assert!(results.len() > 1, "{change:?}");
        }
    }

    #[test]
    fn severities_are_called_differently() {
        for corruption in Corruption::ALL {
            let mut names: Vec<_> = corruption.changes().iter().map(Change::severity).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert!(names.len() == count && count > 1, "{corruption:?}: {names:?}");
        }
    }
}
