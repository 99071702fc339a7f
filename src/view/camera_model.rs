//! A calibrated camera: from the pixels of its images to directions.

use super::distortion::{Distortion, Equidistant, Rational};

/// A calibration as cameras publish it: `sensor_msgs/CameraInfo` without its header.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Calibration {
    /// Width of the calibrated image at full resolution, in pixels.
    pub width: u32,
    /// Height of the calibrated image at full resolution, in pixels.
    pub height: u32,
    /// The model of the lens: `plumb_bob`, `rational_polynomial`, `equidistant`.
    pub distortion_model: String,
    /// Its coefficients, in OpenCV's order.
    pub d: Vec<f64>,
    /// The intrinsic matrix of the full resolution, rows first.
    pub k: [f64; 9],
    /// How many columns of the full resolution make one of the image; 0 is 1.
    pub binning_x: u32,
    /// How many rows of the full resolution make one of the image; 0 is 1.
    pub binning_y: u32,
    /// The part of the full resolution that the image shows; a size of 0 is all.
    pub roi: Region,
}

impl Calibration {
    /// Whether it is for images of the same size and part as another one, so that the newer one counts.
    pub fn is_of_same_images(&self, other: &Self) -> bool {
        let part = |of: &Self| (of.width, of.height, of.binning_x, of.binning_y, of.roi);
        part(self) == part(other)
    }
}

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Region {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Why a calibration gives no directions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// The focal length is 0, by which cameras say that they are not calibrated.
    #[error("the camera is not calibrated: K[0] is 0")]
    Uncalibrated,
    /// No size, or a part that does not lie inside.
    #[error("width x height {width} x {height} with roi {roi:?} is no image")]
    Size {
        /// Width of the full resolution.
        width: u32,
        /// Height of the full resolution.
        height: u32,
        /// The part.
        roi: Region,
    },
    /// An intrinsic matrix that no camera has.
    #[error("K is {0:?}; expected [fx, 0, cx, 0, fy, cy, 0, 0, 1] with positive fx and fy")]
    Matrix([f64; 9]),
    /// A model of the lens that is not known.
    #[error("distortion_model {0:?} is not supported; supported are plumb_bob, rational_polynomial, equidistant")]
    Model(String),
    /// A number of coefficients that the model does not have, or one that is no number.
    #[error("distortion_model {model:?} has no coefficients {d:?}")]
    Coefficients {
        /// The model.
        model: String,
        /// The coefficients.
        d: Vec<f64>,
    },
}

/// Intrinsics and lens of the images as they are sent. The middle of the first pixel is at 0, 0.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraModel {
    image_size: (u32, u32),
    focal_length: (f64, f64),
    skew: f64,
    principal_point: (f64, f64),
    distortion: Distortion,
}

impl CameraModel {
    /// Takes a calibration for a camera after checking that it can be one.
    ///
    /// # Errors
    /// [`CalibrationError`] says what is wrong with it.
    pub fn new(calibration: &Calibration) -> Result<Self, CalibrationError> {
        let Calibration { width, height, k, roi, binning_x, binning_y, .. } = *calibration;
        let [fx, skew, cx, zero_1, fy, cy, zero_2, zero_3, one] = k;
        if fx == 0.0 {
            return Err(CalibrationError::Uncalibrated);
        }
        let is_matrix = k.iter().all(|number| number.is_finite())
            && (fx > 0.0 && fy > 0.0 && [zero_1, zero_2, zero_3, one] == [0.0, 0.0, 0.0, 1.0]);
        if !is_matrix {
            return Err(CalibrationError::Matrix(k));
        }
        let is_whole = roi.width == 0 || roi.height == 0;
        let (shown_width, shown_height) = if is_whole { (width, height) } else { (roi.width, roi.height) };
        let fits = |start: u32, length: u32, whole: u32| u64::from(start) + u64::from(length) <= u64::from(whole);
        let (x, y) = if is_whole { (0, 0) } else { (roi.x, roi.y) };
        if width == 0 || height == 0 || !fits(x, shown_width, width) || !fits(y, shown_height, height) {
            return Err(CalibrationError::Size { width, height, roi });
        }
        let (columns, rows) = (binning_x.max(1), binning_y.max(1));
        // As image_geometry does it: pixels of the full resolution are divided, whatever their middle is.
        let (columns_f64, rows_f64) = (f64::from(columns), f64::from(rows));
        Ok(Self {
            image_size: (shown_width / columns, shown_height / rows),
            focal_length: (fx / columns_f64, fy / rows_f64),
            skew: skew / columns_f64,
            principal_point: ((cx - f64::from(x)) / columns_f64, (cy - f64::from(y)) / rows_f64),
            distortion: distortion(&calibration.distortion_model, &calibration.d)?,
        })
    }

    /// Width and height of the images, in pixels.
    pub fn image_size(&self) -> (u32, u32) {
        self.image_size
    }

    /// Whether this is the camera of images of this size.
    pub fn fits(&self, width: usize, height: usize) -> bool {
        let (own_width, own_height) = self.image_size;
        (own_width as usize, own_height as usize) == (width, height)
    }

    /// The direction of a pixel, in the camera's optical frame: a unit vector, x to the right, y down, z forward. `None` where the
    /// model of the lens shows nothing at this pixel.
    pub fn ray(&self, (u, v): (f64, f64)) -> Option<[f64; 3]> {
        let y = (v - self.principal_point.1) / self.focal_length.1;
        let x = (u - self.principal_point.0 - self.skew * y) / self.focal_length.0;
        self.distortion.unproject((x, y))
    }

    /// The pixel at which a point in the camera's optical frame is seen. `None` where that is behind the camera, or beyond what
    /// the model of the lens describes.
    pub fn project(&self, point: [f64; 3]) -> Option<(f64, f64)> {
        let (x, y) = self.distortion.project(point)?;
        let u = self.focal_length.0 * x + self.skew * y + self.principal_point.0;
        Some((u, self.focal_length.1 * y + self.principal_point.1))
    }
}

/// Makes a lens of its coefficients.
type Lens = fn(&[f64]) -> Distortion;

/// The lens of a model's name. Simulators give no name where they do not distort.
fn distortion(model: &str, d: &[f64]) -> Result<Distortion, CalibrationError> {
    let (lens, counts): (Lens, &[usize]) = match model {
        "plumb_bob" => (rational, &[0, 4, 5]),
        "rational_polynomial" => (rational, &[8, 12, 14]),
        "equidistant" | "fisheye" => (|d| Distortion::Equidistant(Equidistant::new(d)), &[4]),
        "" | "none" if d.iter().all(|number| *number == 0.0) => return Ok(rational(&[])),
        _ => return Err(CalibrationError::Model(model.to_owned())),
    };
    // What is 0 distorts nothing, however many there are.
    let is_none = d.iter().all(|number| *number == 0.0);
    if !(is_none || counts.contains(&d.len()) && d.iter().all(|number| number.is_finite())) {
        return Err(CalibrationError::Coefficients { model: model.to_owned(), d: d.to_vec() });
    }
    Ok(lens(d))
}

fn rational(d: &[f64]) -> Distortion {
    Distortion::Rational(Box::new(Rational::new(d)))
}

#[cfg(test)]
#[path = "camera_model_tests.rs"]
mod tests;
