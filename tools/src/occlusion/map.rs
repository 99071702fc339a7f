//! Where an answer is sensitive: a window slides over the picture (Zeiler and Fergus 2014, section 4.2).

use opencv::core::{Rect, Size};

use super::mask::mean_gray;

/// Side of the window and its step, as fractions of the picture's longer side. The window is about as high as a mouth.
const WINDOW_SIDE: f64 = 0.1875;
const STEP: f64 = 0.0625;

/// The positions of a window that slides over a picture of the size `size`, row by row, with those at the far edges.
pub fn window_places(size: Size) -> Vec<Rect> {
    let longer_side = f64::from(size.width.max(size.height));
    let pixels = |fraction: f64| ((fraction * longer_side).round() as i32).max(1);
    let (side, step) = (pixels(WINDOW_SIDE), pixels(STEP));
    let (width, height) = (side.min(size.width), side.min(size.height));
    let starts = |length: i32, window: i32| {
        let last = length - window;
        (0..last).step_by(step as usize).chain([last])
    };
    let rows = starts(size.height, height);
    rows.flat_map(|y| starts(size.width, width).map(move |x| Rect::new(x, y, width, height))).collect()
}

/// How much a value decreases when the part of the picture around each pixel is filled with the picture's mean grey. The result
/// is row by row the mean over the windows that contain the pixel, in the unit of the value.
///
/// `pixels` are grey, 8-bit, row by row, of the size `size`. `value` is called for the unchanged picture, and for each position
/// of the window.
///
/// # Errors
/// The errors of `value`.
pub fn sensitivity<E>(
    pixels: &[u8],
    size: Size,
    mut value: impl FnMut(&[u8]) -> Result<f32, E>,
) -> Result<Vec<f32>, E> {
    let gray = mean_gray(pixels).round() as u8;
    let whole = value(pixels)?;
    let (mut falls, mut windows) = (vec![0.0; pixels.len()], vec![0.0; pixels.len()]);
    let mut covered = pixels.to_vec();
    for place in window_places(size) {
        fill(&mut covered, size, place, |pixel, _| *pixel = gray);
        let fall = whole - value(&covered)?;
        fill(&mut falls, size, place, |sum, _| *sum += fall);
        fill(&mut windows, size, place, |count, _| *count += 1.0);
        fill(&mut covered, size, place, |pixel, index| *pixel = pixels[index]);
    }
    // Each pixel is in at least one window.
    Ok(falls.iter().zip(&windows).map(|(sum, count)| sum / count).collect())
}

fn fill<T>(picture: &mut [T], size: Size, place: Rect, mut change: impl FnMut(&mut T, usize)) {
    for y in place.y..place.y + place.height {
        let start = (y * size.width + place.x) as usize;
        for (index, pixel) in picture.iter_mut().enumerate().skip(start).take(place.width as usize) {
            change(pixel, index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    // 32 x 18: windows of 6 pixels in steps of 2, from 0 to 26 and from 0 to 12.
    const SIZE: Size = Size::new(32, 18);

    #[test]
    fn windows_reach_every_edge() {
        let places = window_places(SIZE);
        assert_eq!(places.len(), 14 * 7);
        assert_eq!((places[0], places[97]), (Rect::new(0, 0, 6, 6), Rect::new(26, 12, 6, 6)));
        // 21 pixels: windows of 4, a pixel apart; the last begins at 17.
        assert_eq!(window_places(Size::new(21, 3)).last(), Some(&Rect::new(17, 0, 4, 3)));
        assert_eq!(window_places(Size::new(1, 1)), [Rect::new(0, 0, 1, 1)]);
    }

    // The value is one bright pixel's: it falls from 200 to the mean where a window hides it.
    #[test]
    fn the_value_falls_where_what_it_rests_on_is_hidden() {
        let mut pixels = vec![0; 32 * 18];
        let bright = 7 * 32 + 20;
        pixels[bright] = 200;
        let map = sensitivity(&pixels, SIZE, |p| Ok::<_, Infallible>(f32::from(p[bright]))).unwrap();
        // Every window over that pixel hides it.
        assert_eq!(map[bright], 200.0);
        // To the left, three of its windows in a row reach as far as column 20 - 1 and so on; beyond 5 pixels none does.
        assert!(map[bright - 2] < 200.0 && map[bright - 2] > map[bright - 4] && map[bright - 4] > 0.0);
        for (index, value) in map.iter().enumerate() {
            let (x, y) = ((index % 32) as i32, (index / 32) as i32);
            if (x - 20).abs() > 5 || (y - 7).abs() > 5 {
                assert_eq!(*value, 0.0, "at {x},{y}");
            }
        }
    }

    #[test]
    fn errors_are_passed_on() {
        let failed = sensitivity(&[0; 32 * 18], SIZE, |_| Err::<f32, _>("no answer"));
        assert_eq!(failed, Err("no answer"));
    }
}
