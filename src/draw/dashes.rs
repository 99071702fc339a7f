//! Boxes with dashed lines.

use opencv::core::{Mat, Scalar};
use opencv::imgproc::{FILLED, LINE_8, rectangle};

use crate::faces::BoundingBox;

/// Length of a dash and of a gap, relative to the width of the line.
const DASH_LINES: i32 = 5;

/// Draws the outline of `face` with dashes into `image` (height x width, 8-bit, any channels). The line is `line_px` wide, at
/// least 1, and lies on the edge as the line of a plain box does. What is outside the image is cut off.
///
/// Each side begins and ends with a dash, so that the corners show the size of the box. A side that is too short for a gap is a
/// plain line.
///
/// # Errors
/// Only those of OpenCV.
pub fn dashed_box(image: &mut Mat, face: BoundingBox, color: Scalar, line_px: i32) -> opencv::Result<()> {
    let BoundingBox { x, y, width, height } = face;
    let outer = BoundingBox {
        x: x - line_px / 2,
        y: y - line_px / 2,
        width: width + line_px - 1,
        height: height + line_px - 1,
    };
    let (last_column, last_row) = (outer.right() - line_px, outer.bottom() - line_px);
    let mut fill = |dash: BoundingBox| rectangle(image, dash.into(), color, FILLED, LINE_8, 0);
    for (start, length) in dashes(outer.width, line_px) {
        for y in [outer.y, last_row] {
            fill(BoundingBox { x: outer.x + start, y, width: length, height: line_px })?;
        }
    }
    for (start, length) in dashes(outer.height, line_px) {
        for x in [outer.x, last_column] {
            fill(BoundingBox { x, y: outer.y + start, width: line_px, height: length })?;
        }
    }
    Ok(())
}

/// The dashes of a side of `side` pixels: where each begins, and its length. Dashes and gaps differ by a pixel at most.
fn dashes(side: i32, line_px: i32) -> impl Iterator<Item = (i32, i32)> {
    let pairs = side / (2 * DASH_LINES * line_px);
    let parts = 2 * pairs + 1;
    let edge = move |part: i32| (i64::from(side) * i64::from(part) / i64::from(parts)) as i32;
    (0..=pairs).map(move |pair| (edge(2 * pair), edge(2 * pair + 1) - edge(2 * pair)))
}

#[cfg(test)]
mod tests {
    use opencv::core::CV_8UC1;
    use opencv::prelude::*;
    use proptest::prelude::*;

    use super::*;

    const INK: u8 = 200;

    fn drawn(width: i32, height: i32, face: BoundingBox, line_px: i32) -> Mat {
        let mut image = Mat::new_rows_cols_with_default(height, width, CV_8UC1, Scalar::all(0.0)).unwrap();
        dashed_box(&mut image, face, Scalar::all(f64::from(INK)), line_px).unwrap();
        image
    }

    fn is_drawn(image: &Mat, x: i32, y: i32) -> bool {
        *image.at_2d::<u8>(y, x).unwrap() == INK
    }

    /// The lengths of the runs along a line, drawn and not drawn by turns; a drawn one is first.
    fn runs(pixels: impl Iterator<Item = bool>) -> Vec<usize> {
        let mut runs = vec![0];
        for (position, pixel) in pixels.enumerate() {
            let is_run_drawn = runs.len() % 2 == 1;
            assert!(position > 0 || pixel, "the line begins with a gap");
            if pixel == is_run_drawn { *runs.last_mut().unwrap() += 1 } else { runs.push(1) }
        }
        runs
    }

    #[test]
    fn all_sides_have_dashes_and_the_corners_are_closed() {
        let face = BoundingBox { x: 20, y: 10, width: 67, height: 41 };
        let image = drawn(110, 70, face, 1);
        let (right, bottom) = (face.right() - 1, face.bottom() - 1);
        for y in [face.y, bottom] {
            let runs = runs((face.x..=right).map(|x| is_drawn(&image, x, y)));
            assert_eq!(runs.len(), 13, "{runs:?}");
            assert!(runs.iter().all(|run| (5..=6).contains(run)), "{runs:?}");
        }
        for x in [face.x, right] {
            let runs = runs((face.y..=bottom).map(|y| is_drawn(&image, x, y)));
            assert_eq!(runs.len(), 9, "{runs:?}");
            assert!(runs.iter().all(|run| (4..=5).contains(run)), "{runs:?}");
        }
        for (x, y) in [(face.x - 1, face.y), (face.x, face.y - 1), (right + 1, bottom), (right, bottom + 1), (40, 30)] {
            assert!(!is_drawn(&image, x, y), "{x},{y}");
        }
    }

    #[test]
    fn a_wide_line_lies_on_the_edge() {
        let face = BoundingBox { x: 30, y: 20, width: 90, height: 60 };
        let image = drawn(150, 100, face, 3);
        let across =
            |x: i32, y: i32, dx: i32, dy: i32| (-3..=3).map(|n| is_drawn(&image, x + n * dx, y + n * dy)).collect();
        let centred: Vec<bool> = (-3..=3).map(|n: i32| n.abs() <= 1).collect();
        let places: [(i32, i32, i32, i32); 4] = [(34, 20, 0, 1), (34, 79, 0, 1), (30, 24, 1, 0), (119, 24, 1, 0)];
        for (x, y, dx, dy) in places {
            let across: Vec<bool> = across(x, y, dx, dy);
            assert_eq!(across, centred, "at {x},{y}");
        }
    }

    #[test]
    fn a_box_that_leaves_the_image_is_cut_off() {
        let face = BoundingBox { x: -25, y: 12, width: 70, height: 90 };
        let whole = drawn(120, 140, BoundingBox { x: face.x + 40, ..face }, 2);
        let cut = drawn(80, 60, face, 2);
        for (x, y) in (0..60).flat_map(|y| (0..80).map(move |x| (x, y))) {
            assert_eq!(is_drawn(&cut, x, y), is_drawn(&whole, x + 40, y), "{x},{y}");
        }
    }

    #[test]
    fn the_smallest_boxes_are_plain() {
        for (width, height) in [(1, 1), (1, 4), (4, 1), (3, 4)] {
            let image = drawn(9, 8, BoundingBox { x: 2, y: 3, width, height }, 1);
            for (x, y) in (0..8).flat_map(|y| (0..9).map(move |x| (x, y))) {
                let (x_in, y_in) = ((2..2 + width).contains(&x), (3..3 + height).contains(&y));
                let is_edge = x == 2 || x == 1 + width || y == 3 || y == 2 + height;
                assert_eq!(is_drawn(&image, x, y), x_in && y_in && is_edge, "{width} x {height} at {x},{y}");
            }
        }
    }

    proptest! {
        #[test]
        fn sides_begin_and_end_with_a_dash(side in 1..5000_i32, line_px in 1..9_i32) {
            let dashes: Vec<_> = dashes(side, line_px).collect();
            let (first, last) = (dashes[0], dashes[dashes.len() - 1]);
            prop_assert_eq!(first.0, 0);
            prop_assert_eq!(last.0 + last.1, side);
            for pair in dashes.windows(2) {
                let gap = pair[1].0 - pair[0].0 - pair[0].1;
                prop_assert!(gap >= 1 && (gap - pair[0].1).abs() <= 1 && (pair[1].1 - pair[0].1).abs() <= 1);
            }
        }
    }
}
