//! The shapes of drawn-on glasses.
//!
//! The trainer draws superellipses of exponents of 2.6 and more for the upper and the lower half of a lens, which may be wider at
//! its upper edge (`training/src/glasses.rs`). None of the shapes here is one: ellipses and circles have the exponent 2, a hexagon
//! has corners, and a cat's eye and a teardrop are not symmetric about the middle of the lens. Keep them apart, so that `occlude`
//! and `evaluate --corrupt glasses` measure on what no training has seen.

use std::f64::consts::TAU;

/// Glasses. Lengths are in eye distances.
pub(super) struct Frame {
    /// Of the lens on the right, as points to the outside of and below its middle.
    pub outline: Vec<[f64; 2]>,
    /// Of the middle of a lens below the eye.
    pub down: f64,
    /// Of the frame.
    pub thickness: f64,
    /// 0 to 255.
    pub gray: f32,
    /// Below the eyes, from the top: where bridges lie.
    pub bridges: &'static [f64],
    pub has_dark_lenses: bool,
}

/// Dark plastic, 0 to 255.
pub(super) const PLASTIC_GRAY: f32 = 25.0;
const METAL_GRAY: f32 = 110.0;

fn ellipse(half_width: f64, half_height: f64, points: u32) -> Vec<[f64; 2]> {
    let angle = |number: u32| TAU * f64::from(number) / f64::from(points);
    (0..points).map(|number| [half_width * angle(number).cos(), half_height * angle(number).sin()]).collect()
}

impl Frame {
    /// Of plastic: lenses of 48 x 37 mm in an average adult, frames of 4 mm.
    pub fn oval(has_dark_lenses: bool) -> Self {
        Self {
            outline: ellipse(0.38, 0.29, 64),
            down: 0.04,
            thickness: 0.065,
            gray: PLASTIC_GRAY,
            bridges: &[-0.02],
            has_dark_lenses,
        }
    }

    /// Circles of thin metal.
    pub fn round() -> Self {
        Self { outline: ellipse(0.33, 0.33, 64), thickness: 0.035, gray: METAL_GRAY, ..Self::oval(false) }
    }

    /// Six corners, two of them at the height of the eyes.
    pub fn hexagonal() -> Self {
        Self { outline: ellipse(0.4, 0.33, 6), thickness: 0.05, ..Self::oval(false) }
    }

    /// Upper outer corners that rise.
    pub fn cat_eye() -> Self {
        let outline = vec![
            [-0.3, -0.15],
            [0.0, -0.2],
            [0.5, -0.38],
            [0.42, -0.02],
            [0.3, 0.16],
            [0.06, 0.26],
            [-0.18, 0.22],
            [-0.32, 0.04],
        ];
        Self { outline, thickness: 0.08, ..Self::oval(false) }
    }

    /// Teardrops of thin metal with two bridges.
    pub fn aviator() -> Self {
        let outline = vec![
            [-0.3, -0.2],
            [0.05, -0.26],
            [0.36, -0.22],
            [0.43, 0.0],
            [0.36, 0.24],
            [0.2, 0.38],
            [0.0, 0.36],
            [-0.2, 0.18],
            [-0.32, -0.05],
        ];
        Self { outline, thickness: 0.03, gray: METAL_GRAY, bridges: &[-0.22, -0.06], ..Self::oval(false) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How badly a superellipse of this exponent and the shape's half sizes fits the shape: the largest difference of
    /// `|x / width| ^ n + |y / height| ^ n` from 1, on its corners and on the edges between them.
    fn misfit(outline: &[[f64; 2]], exponent: f64) -> f64 {
        let largest = |axis: usize| outline.iter().map(|point| point[axis].abs()).fold(0.0, f64::max);
        let [width, height] = [largest(0), largest(1)];
        let value = |[x, y]: &[f64; 2]| (x / width).abs().powf(exponent) + (y / height).abs().powf(exponent);
        let edges = outline.iter().zip(outline.iter().cycle().skip(1));
        let on_edges = edges.flat_map(|(from, to)| {
            [0.0, 0.25, 0.5, 0.75].map(|share| [0, 1].map(|axis| from[axis] + share * (to[axis] - from[axis])))
        });
        on_edges.map(|point| (value(&point) - 1.0).abs()).fold(0.0, f64::max)
    }

    // The exponents that a training draws are 2.6 to 8.
    #[test]
    fn no_shape_is_one_that_a_training_draws() {
        let frames = [Frame::oval(false), Frame::round(), Frame::hexagonal(), Frame::cat_eye(), Frame::aviator()];
        for (number, frame) in frames.iter().enumerate() {
            for exponent in [2.6, 3.0, 4.0, 6.0, 8.0] {
                assert!(misfit(&frame.outline, exponent) > 0.15, "shape {number} is a superellipse of {exponent}");
            }
        }
        let drawn: Vec<_> = ellipse(1.0, 1.0, 64)
            .into_iter()
            .map(|[x, y]| [x, y].map(|share: f64| share.signum() * share.abs().powf(2.0 / 4.0)))
            .collect();
        assert!(misfit(&drawn, 4.0) < 0.1);
    }
}
