//! The blur of a lens or of a trembling hand.

use opencv::core::{BORDER_REPLICATE, Mat, Point};
use opencv::imgproc::filter_2d;
use opencv::prelude::*;
use rand::Rng;

/// Steps of a trembling hand during an exposure.
const TREMBLES: usize = 24;

/// What blurs an image.
#[derive(Debug, Clone, PartialEq)]
pub enum Blur {
    /// Out of focus: a disc of this radius, as a fraction of the longer side.
    Lens(f64),
    /// The way of the image during the exposure, as fractions of the longer side.
    Hand(Vec<[f64; 2]>),
}

impl Blur {
    /// A blur of one of both kinds that reaches this fraction of the longer side.
    pub fn draw(reach: f64, numbers: &mut impl Rng) -> Self {
        if numbers.random() { Self::Lens(reach) } else { trembling(reach, numbers) }
    }

    /// The blurred image.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn apply(&self, image: &Mat) -> opencv::Result<Mat> {
        let side = f64::from(image.cols().max(image.rows()));
        let kernel = match self {
            Self::Lens(radius) => disc(radius * side),
            Self::Hand(way) => line_of(way.iter().map(|point| point.map(|offset| offset * side))),
        };
        let mut blurred = Mat::default();
        let kernel = Mat::from_slice_2d(&kernel)?;
        filter_2d(image, &mut blurred, -1, &kernel, Point::new(-1, -1), 0.0, BORDER_REPLICATE)?;
        Ok(blurred)
    }
}

/// A way of random turns whose largest distance from its middle is `reach`.
fn trembling(reach: f64, numbers: &mut impl Rng) -> Blur {
    let mut direction = std::f64::consts::TAU * numbers.random::<f64>();
    let mut way = vec![[0.0, 0.0]];
    for _ in 1..TREMBLES {
        direction += 1.2 * (2.0 * numbers.random::<f64>() - 1.0);
        let [x, y] = way[way.len() - 1];
        way.push([x + direction.cos(), y + direction.sin()]);
    }
    let middle = [0, 1].map(|axis| way.iter().map(|point| point[axis]).sum::<f64>() / way.len() as f64);
    let away = |point: &[f64; 2]| [point[0] - middle[0], point[1] - middle[1]];
    let largest = way.iter().map(|point| away(point)[0].hypot(away(point)[1])).fold(f64::MIN_POSITIVE, f64::max);
    Blur::Hand(way.iter().map(|point| away(point).map(|offset| offset * reach / largest)).collect())
}

/// A kernel that is a disc of this radius in pixels. A pixel at the edge counts in part.
fn disc(radius: f64) -> Vec<Vec<f32>> {
    let reach = (radius + 0.5).floor() as i32;
    let weight = |x: i32, y: i32| (radius + 0.5 - f64::from(x).hypot(f64::from(y))).clamp(0.0, 1.0);
    let rows = (-reach..=reach).map(|y| (-reach..=reach).map(|x| weight(x, y).max(f64::MIN_POSITIVE)).collect());
    normalized(rows.collect())
}

/// A kernel of the points of a way in pixels, each spread over the four pixels around it.
fn line_of(way: impl Iterator<Item = [f64; 2]> + Clone) -> Vec<Vec<f32>> {
    let reach = way.clone().flatten().fold(0.0_f64, |reach, offset| reach.max(offset.abs())).ceil() as usize;
    let mut weights = vec![vec![0.0; 2 * reach + 1]; 2 * reach + 1];
    for point in way {
        let [x, y] = point.map(|offset| offset + reach as f64);
        for (row, weights) in weights.iter_mut().enumerate() {
            let of_row = (1.0 - (y - row as f64).abs()).max(0.0);
            for (column, weight) in weights.iter_mut().enumerate() {
                *weight += of_row * (1.0 - (x - column as f64).abs()).max(0.0);
            }
        }
    }
    normalized(weights)
}

fn normalized(weights: Vec<Vec<f64>>) -> Vec<Vec<f32>> {
    let sum: f64 = weights.iter().flatten().sum();
    weights.into_iter().map(|row| row.into_iter().map(|weight| (weight / sum) as f32).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_along_a_row_mixes_its_columns_and_no_other_row() {
        let kernel = line_of([[-2.0, 0.0], [0.0, 0.0], [1.5, 0.0]].into_iter());
        assert_eq!(kernel.len(), 5);
        assert!(
            kernel.iter().enumerate().all(|(row, weights)| row == 2 || weights.iter().all(|weight| *weight == 0.0))
        );
        for (got, expected) in kernel[2].iter().zip([1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 6.0, 1.0 / 6.0]) {
            assert!((got - expected).abs() < 1e-6, "{kernel:?}");
        }
    }

    #[test]
    fn a_disc_has_a_soft_edge() {
        assert_eq!(disc(0.0), [[1.0]]);
        // Radius 1: the middle has the weight 1, each of four neighbours 0.5, the corners 1.5 less the root of 2.
        let corner = 1.5 - 2.0_f64.sqrt();
        let sum = 1.0 + 4.0 * 0.5 + 4.0 * corner;
        let kernel = disc(1.0);
        assert!((f64::from(kernel[1][1]) - 1.0 / sum).abs() < 1e-6, "{kernel:?}");
        assert!(
            (f64::from(kernel[0][1]) - 0.5 / sum).abs() < 1e-6 && (f64::from(kernel[2][0]) - corner / sum).abs() < 1e-6
        );
    }
}
