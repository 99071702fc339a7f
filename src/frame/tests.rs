//! Frames of each encoding.

use opencv::core::Vec3b;

use super::*;

const WIDTH: usize = 10;
const HEIGHT: usize = 8;

/// Blue, green, red: orange left of column 4 and above row 3, elsewhere a dark cyan.
fn color_at(x: usize, y: usize) -> [u8; 3] {
    if x < 4 && y < 3 { [20, 120, 240] } else { [140, 100, 10] }
}

fn gray_of([b, g, r]: [u8; 3]) -> f64 {
    0.114 * f64::from(b) + 0.587 * f64::from(g) + 0.299 * f64::from(r)
}

/// Luma of BT.601 in its video range, with which 4:2:2 cameras encode.
fn luma_of(bgr: [u8; 3]) -> u8 {
    (16.0 + gray_of(bgr) * 219.0 / 255.0).round() as u8
}

fn chroma_of([b, g, r]: [u8; 3]) -> [u8; 2] {
    let [b, g, r] = [b, g, r].map(f64::from);
    let u = 128.0 - 0.148 * r - 0.291 * g + 0.439 * b;
    let v = 128.0 + 0.439 * r - 0.368 * g - 0.071 * b;
    [u.round() as u8, v.round() as u8]
}

fn pixel_bytes(encoding: Encoding, order: ByteOrder, x: usize, y: usize) -> Vec<u8> {
    let bgr @ [b, g, r] = color_at(x, y);
    // The rows of a Bayer pattern repeat every second pixel, from the four letters of its name.
    let bayer = |pattern: [u8; 4]| vec![pattern[2 * (y % 2) + x % 2]];
    match encoding {
        Encoding::Mono8 => vec![gray_of(bgr).round() as u8],
        Encoding::Mono16 => {
            let sample = (gray_of(bgr).round() as u16) << 8 | 0x7f;
            match order {
                ByteOrder::LittleEndian => sample.to_le_bytes().to_vec(),
                ByteOrder::BigEndian => sample.to_be_bytes().to_vec(),
            }
        }
        Encoding::Bgr8 => vec![b, g, r],
        Encoding::Rgb8 => vec![r, g, b],
        Encoding::Bgra8 => vec![b, g, r, 255],
        Encoding::Rgba8 => vec![r, g, b, 255],
        Encoding::Nv12 | Encoding::Nv21 => vec![luma_of(bgr)],
        Encoding::Uyvy => vec![chroma_of(bgr)[x % 2], luma_of(bgr)],
        Encoding::Yuyv => vec![luma_of(bgr), chroma_of(bgr)[x % 2]],
        Encoding::BayerRggb8 => bayer([r, g, g, b]),
        Encoding::BayerBggr8 => bayer([b, g, g, r]),
        Encoding::BayerGbrg8 => bayer([g, b, r, g]),
        Encoding::BayerGrbg8 => bayer([g, r, b, g]),
    }
}

/// The picture of `color_at` with rows padded by `padding` bytes that would show if they were taken for pixels.
fn encode(encoding: Encoding, order: ByteOrder, padding: usize) -> (usize, Vec<u8>) {
    let mut data = Vec::new();
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            data.extend(pixel_bytes(encoding, order, x, y));
        }
        data.extend(vec![255; padding]);
    }
    if encoding.pairs_rows() {
        for y in (0..HEIGHT).step_by(2) {
            for x in (0..WIDTH).step_by(2) {
                let [u, v] = chroma_of(color_at(x, y));
                data.extend(if encoding == Encoding::Nv12 { [u, v] } else { [v, u] });
            }
            data.extend(vec![255; padding]);
        }
    }
    (WIDTH * encoding.bytes_per_pixel() + padding, data)
}

#[test]
fn each_encoding_gives_the_same_picture_whatever_its_stride_and_byte_order() {
    for (encoding, _) in Encoding::NAMES {
        for order in [ByteOrder::LittleEndian, ByteOrder::BigEndian] {
            for padding in [0, 1, 5] {
                let (step, data) = encode(encoding, order, padding);
                let frame = Frame::new(WIDTH, HEIGHT, step, encoding, order, &data).unwrap();
                let (gray, bgr) = (frame.to_gray().unwrap(), frame.to_bgr().unwrap());
                let case = format!("{encoding} {order:?} padding {padding}");
                assert_eq!((gray.cols(), gray.rows()), (WIDTH as i32, HEIGHT as i32), "{case}");
                assert_eq!((bgr.cols(), bgr.rows()), (WIDTH as i32, HEIGHT as i32), "{case}");
                // Away from the borders of colours, which a Bayer pattern blurs.
                for (x, y) in [(1, 1), (2, 1), (7, 1), (1, 5), (8, 5), (6, 3)] {
                    check_pixel(&case, encoding, &gray, &bgr, x, y);
                }
            }
        }
    }
}

fn check_pixel(case: &str, encoding: Encoding, gray: &Mat, bgr: &Mat, x: usize, y: usize) {
    let color = color_at(x, y);
    let got_gray = f64::from(*gray.at_2d::<u8>(y as i32, x as i32).unwrap());
    // Video luma is taken for grey as it is, in the range 16 to 235.
    let gray = if encoding.pairs_columns() { f64::from(luma_of(color)) } else { gray_of(color) };
    assert!((got_gray - gray).abs() <= 1.0, "{case}: grey {got_gray}, expected {gray} at {x},{y}");
    let got = bgr.at_2d::<Vec3b>(y as i32, x as i32).unwrap();
    let monochrome = matches!(encoding, Encoding::Mono8 | Encoding::Mono16);
    for (channel, expected) in color.into_iter().enumerate() {
        let expected = if monochrome { gray_of(color) } else { f64::from(expected) };
        // 4:2:2 and 4:2:0 round luma and chroma to bytes before they are mixed.
        let difference = (f64::from(got[channel]) - expected).abs();
        assert!(difference <= 3.0, "{case}: {got:?}, expected {color:?} at {x},{y}");
    }
}

#[test]
fn what_does_not_agree_is_named() {
    let data = [0; 64];
    let frame = |width, height, step, encoding| {
        Frame::new(width, height, step, encoding, ByteOrder::LittleEndian, &data).map(|_| ())
    };
    let cases = [
        (frame(0, 4, 8, Encoding::Mono8), "0 x 4"),
        (frame(4, 40_000, 8, Encoding::Mono8), "4 x 40000"),
        (frame(5, 2, 16, Encoding::Uyvy), "even width, got 5"),
        (frame(6, 3, 16, Encoding::Nv12), "even height, got 3"),
        (frame(7, 2, 16, Encoding::Nv21), "even width, got 7"),
        // The luma plane alone would fit.
        (frame(10, 4, 12, Encoding::Nv12), "data holds 64 bytes, but 6 rows x step 12 need 72"),
        (frame(5, 2, 14, Encoding::Bgr8), "step 14 is smaller than the 15 bytes of 5 bgr8 pixels"),
        (frame(4, 6, 11, Encoding::Mono8), "data holds 64 bytes, but 6 rows x step 11 need 66"),
        (frame(4, 6, usize::MAX, Encoding::Mono8), "data holds 64 bytes"),
    ];
    for (result, reason) in cases {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn a_picture_of_another_kind_is_no_bgr_frame() {
    let bgr = Mat::new_rows_cols_with_default(7, 10, CV_8UC3, 9.into()).unwrap();
    let frame = Frame::from_bgr(&bgr).unwrap();
    assert_eq!((frame.width(), frame.height()), (10, 7));
    let gray = frame.to_gray().unwrap();
    assert_eq!(Frame::from_bgr(&gray).unwrap_err(), FrameError::NotBgr);
    let part = Mat::roi(&bgr, Rect::new(1, 1, 4, 3)).unwrap();
    assert_eq!(Frame::from_bgr(&part).unwrap_err(), FrameError::NotBgr);
}

#[test]
fn the_smallest_frame_of_each_encoding_converts() {
    for (encoding, _) in Encoding::NAMES {
        let width = if encoding.pairs_columns() { 2 } else { 1 };
        let height = if encoding.pairs_rows() { 2 } else { 1 };
        let step = if encoding.pairs_rows() { 3 } else { 9 };
        let frame = Frame::new(width, height, step, encoding, ByteOrder::BigEndian, &[128; 9]).unwrap();
        assert_eq!(frame.to_gray().unwrap().cols(), width as i32, "{encoding}");
        assert_eq!(frame.to_bgr().unwrap().rows(), height as i32, "{encoding}");
    }
}
