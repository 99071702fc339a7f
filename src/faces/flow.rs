//! Where a face went from one frame to the next, by optical flow (Lucas and Kanade 1981, in pyramids: Bouguet 2001).
//!
//! The median of many points, of which only those count that are found back from the new frame, is the median flow of
//! Kalal, Mikolajczyk, Matas, "Forward-Backward Error: Automatic Detection of Tracking Failures" (2010).

use opencv::core::{Mat, Point2f, Size, TermCriteria, TermCriteria_COUNT, TermCriteria_EPS, Vector};
use opencv::prelude::*;
use opencv::video::calc_optical_flow_pyr_lk;

use super::BoundingBox;

/// Points on a side of the grid that is laid over a face.
const GRID: i32 = 8;
/// Part of the face on each side that has no points, because it shows background.
const BORDER: f32 = 0.15;
/// Side of the window in which a point is compared, in pixels.
const WINDOW_PX: i32 = 15;
/// Levels of the pyramid above the image.
const LEVELS: i32 = 3;
/// Largest distance between a point and its place when it is followed there and back, in sides of the face.
const MAX_RETURN_ERROR: f32 = 0.02;
/// Smallest share of the points that must be found back.
const MIN_SHARE: f64 = 0.4;

/// By how many pixels (right, down) the face at `face` in `previous` has moved in `gray`, or `None` where too few of its
/// points are found. Both frames are height x width, 8-bit, one channel, of the same size.
///
/// # Errors
/// Only those of OpenCV.
pub fn displacement(previous: &Mat, gray: &Mat, face: BoundingBox) -> opencv::Result<Option<(f64, f64)>> {
    let image = BoundingBox::of_image(gray.cols(), gray.rows());
    let Some(window) = face.square_with_margin(0.5).intersection(&image) else { return Ok(None) };
    if previous.size()? != gray.size()? || window.width <= 2 * WINDOW_PX || window.height <= 2 * WINDOW_PX {
        return Ok(None);
    }
    // The pyramids of a window cost less than those of the image.
    let (before, after) = (Mat::roi(previous, window.into())?, Mat::roi(gray, window.into())?);
    let points = grid(face, window);
    let (there, found) = follow(&before, &after, &points)?;
    let (back, found_back) = follow(&after, &before, &there)?;
    let max_error = (MAX_RETURN_ERROR * face.width as f32).max(1.0);
    let mut moves = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let (to, returned) = (there.get(i)?, back.get(i)?);
        let error = (returned.x - point.x).hypot(returned.y - point.y);
        if found.get(i)? == 1 && found_back.get(i)? == 1 && error <= max_error {
            moves.push((f64::from(to.x - point.x), f64::from(to.y - point.y)));
        }
    }
    if (moves.len() as f64) < MIN_SHARE * f64::from(GRID * GRID) {
        return Ok(None);
    }
    let along = |axis: fn(&(f64, f64)) -> f64| median(moves.iter().map(axis).collect());
    Ok(Some((along(|(x, _)| *x), along(|(_, y)| *y))))
}

/// A grid of points over the inner part of `face`, in pixels of `window`.
fn grid(face: BoundingBox, window: BoundingBox) -> Vector<Point2f> {
    let place = |begin: i32, length: i32, window_begin: i32, n: i32| {
        let share = BORDER + (1.0 - 2.0 * BORDER) * (n as f32 + 0.5) / GRID as f32;
        begin as f32 + share * length as f32 - window_begin as f32
    };
    let points = (0..GRID * GRID).map(|n| {
        Point2f::new(place(face.x, face.width, window.x, n % GRID), place(face.y, face.height, window.y, n / GRID))
    });
    points.collect()
}

fn follow(
    from: &impl opencv::core::ToInputArray,
    to: &impl opencv::core::ToInputArray,
    points: &Vector<Point2f>,
) -> opencv::Result<(Vector<Point2f>, Vector<u8>)> {
    let (mut places, mut found, mut errors) = (Vector::new(), Vector::new(), Vector::<f32>::new());
    let window = Size::new(WINDOW_PX, WINDOW_PX);
    let criteria = TermCriteria::new(TermCriteria_COUNT + TermCriteria_EPS, 20, 0.03)?;
    calc_optical_flow_pyr_lk(
        from,
        to,
        points,
        &mut places,
        &mut found,
        &mut errors,
        window,
        LEVELS,
        criteria,
        0,
        1e-3,
    )?;
    Ok((places, found))
}

/// The median of at least one value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use opencv::core::{CV_8UC1, Rect};
    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};

    use super::*;

    /// The face in the portrait.
    const FACE: BoundingBox = BoundingBox { x: 76, y: 46, width: 95, height: 95 };

    /// A part of the portrait, shifted against the face.
    fn portrait(x: i32, y: i32) -> Mat {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
        let gray = imread(path, IMREAD_GRAYSCALE).unwrap();
        Mat::roi(&gray, Rect::new(100 - x, 20 - y, 300, 220)).unwrap().try_clone().unwrap()
    }

    #[test]
    fn the_flow_of_a_shifted_face_is_its_shift() {
        for shift in [(0, 0), (7, 0), (-12, 9), (0, 15)] {
            let moved = displacement(&portrait(0, 0), &portrait(shift.0, shift.1), FACE).unwrap().unwrap();
            let error = (moved.0 - f64::from(shift.0)).hypot(moved.1 - f64::from(shift.1));
            assert!(error < 1.0, "{moved:?} for {shift:?}");
        }
    }

    #[test]
    fn a_face_that_is_gone_or_outside_has_no_flow() {
        let mut noise = Mat::new_rows_cols_with_default(220, 300, CV_8UC1, 0.into()).unwrap();
        opencv::core::randu(&mut noise, &0.0, &255.0).unwrap();
        assert_eq!(displacement(&portrait(0, 0), &noise, FACE).unwrap(), None);
        let outside = BoundingBox { x: 500, y: 46, width: 95, height: 95 };
        assert_eq!(displacement(&portrait(0, 0), &portrait(1, 0), outside).unwrap(), None);
        let tiny = BoundingBox { x: 10, y: 10, width: 8, height: 8 };
        assert_eq!(displacement(&portrait(0, 0), &portrait(1, 0), tiny).unwrap(), None);
    }
}
