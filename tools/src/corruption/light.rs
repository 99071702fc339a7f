//! Noise, low light and back light.

use std::f64::consts::TAU;

use opencv::core::Mat;
use opencv::prelude::*;
use rand::Rng;

/// Electrons that white sets free in a pixel, in the light of a room.
const ELECTRONS: f64 = 1000.0;
/// Noise of the electronics, in electrons.
const READ_NOISE: f64 = 4.0;
const WHITE: f64 = 255.0;

/// A number of a standard normal distribution (Box and Muller 1958).
fn normal(numbers: &mut impl Rng) -> f64 {
    let [radius, angle]: [f64; 2] = [(); 2].map(|()| numbers.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (TAU * angle).cos()
}

/// Each pixel changed; `change` gets its value, and its column and row as fractions of the picture's.
fn with_pixels(picture: &Mat, mut change: impl FnMut(f64, [f64; 2]) -> f64) -> opencv::Result<Mat> {
    let mut changed = picture.try_clone()?;
    let [width, height] = [changed.cols(), changed.rows()].map(f64::from);
    for y in 0..changed.rows() {
        for (x, pixel) in changed.at_row_mut::<u8>(y)?.iter_mut().enumerate() {
            let place = [(x as f64 + 0.5) / width, (f64::from(y) + 0.5) / height];
            *pixel = change(f64::from(*pixel), place).round().clamp(0.0, WHITE) as u8;
        }
    }
    Ok(changed)
}

/// With Gaussian noise of this standard deviation, as a fraction of white.
pub fn noisy(picture: &Mat, deviation: f64, numbers: &mut impl Rng) -> opencv::Result<Mat> {
    with_pixels(picture, |pixel, _| pixel + WHITE * deviation * normal(numbers))
}

/// In this share of the light, without amplification: a number of electrons with its own noise and that of the electronics.
pub fn low_light(picture: &Mat, share: f64, numbers: &mut impl Rng) -> opencv::Result<Mat> {
    with_pixels(picture, |pixel, _| {
        let mean = share * ELECTRONS * pixel / WHITE;
        // The number of electrons is Poisson distributed, which is near enough to normal for ten and more.
        let electrons = mean + (mean + READ_NOISE * READ_NOISE).sqrt() * normal(numbers);
        electrons * WHITE / ELECTRONS
    })
}

/// Darker by `share`, with glare that grows from the middle, where there is none, to the corners, where it has this share of
/// white.
pub fn back_light(picture: &Mat, share: f64) -> opencv::Result<Mat> {
    with_pixels(picture, |pixel, [x, y]| {
        let glare = 2.0 * ((x - 0.5).powi(2) + (y - 0.5).powi(2));
        (1.0 - share) * pixel + share * WHITE * glare
    })
}

#[cfg(test)]
mod tests {
    use opencv::core::{CV_8UC1, Scalar};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn gray(level: f64) -> Mat {
        Mat::new_rows_cols_with_default(60, 90, CV_8UC1, Scalar::all(level)).unwrap()
    }

    /// Mean and standard deviation.
    fn statistics(picture: &Mat) -> (f64, f64) {
        let pixels: Vec<f64> = picture.data_bytes().unwrap().iter().map(|pixel| f64::from(*pixel)).collect();
        let mean = pixels.iter().sum::<f64>() / pixels.len() as f64;
        let variance = pixels.iter().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / pixels.len() as f64;
        (mean, variance.sqrt())
    }

    // Of 5,400 pixels, the deviation is known within 1 % (one sigma).
    #[test]
    fn noise_has_the_deviation_that_is_asked_for() {
        let (mean, deviation) = statistics(&noisy(&gray(120.0), 0.06, &mut ChaCha8Rng::seed_from_u64(1)).unwrap());
        assert!((mean - 120.0).abs() < 1.0 && (deviation - 0.06 * 255.0).abs() < 0.6, "{mean} {deviation}");
    }

    #[test]
    fn in_low_light_few_electrons_are_counted() {
        let (mean, deviation) = statistics(&low_light(&gray(204.0), 0.25, &mut ChaCha8Rng::seed_from_u64(1)).unwrap());
        // 200 electrons of 1,000: the root of 216 as their noise, and a grey of 51.
        let expected = 216.0_f64.sqrt() * 0.255;
        assert!((mean - 51.0).abs() < 0.5 && (deviation - expected).abs() < 0.3, "{mean} {deviation} {expected}");
    }

    #[test]
    fn back_light_darkens_the_middle_and_dazzles_at_the_corners() {
        let lit = back_light(&gray(100.0), 0.5).unwrap();
        let at = |x: i32, y: i32| *lit.at_2d::<u8>(y, x).unwrap();
        assert!((50..53).contains(&at(45, 30)) && at(0, 0) > 165 && at(89, 59) > 165, "{} {}", at(45, 30), at(0, 0));
        assert!(at(20, 30) > at(40, 30) && at(20, 30) < at(0, 30));
    }
}
