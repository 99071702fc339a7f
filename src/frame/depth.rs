//! 16-bit samples to 8 bits.

use opencv::core::{self, CV_8U, CV_8UC1, CV_16U, Mat, Scalar, Size};
use opencv::prelude::*;

use super::{ByteOrder, Frame};

/// How many bits a picture uses whose largest sample is `largest`: the smallest of 10, 12, 14 and 16 that hold it.
///
/// Cameras of 10, 12 or 14 bits send each sample in 16 bits, the highest of which are 0. No field of the message tells
/// how many are used, and the high bytes alone would be a black picture.
///
/// Earlier pictures do not count, so the same bytes give the same answer on a robot, in a recording and in a test. This
/// has a cost: a dark scene in which no sample needs the highest bits of the camera is shown brighter, by a factor of 4
/// for each two bits, and the brightness can change from frame to frame at that limit. The detector normalises the
/// contrast of each window that it searches, so the factor changes little there.
pub fn used_bits(largest: u16) -> u32 {
    [10, 12, 14].into_iter().find(|bits| largest >> bits == 0).unwrap_or(16)
}

/// The upper 8 of the [`used_bits`] of a picture with 16-bit samples: of the same size and channels, 8-bit.
///
/// All channels are scaled alike, so colours stay. An alpha channel would count as samples: remove it before.
///
/// # Errors
/// Where the samples are not unsigned 16-bit, and those of OpenCV, for example when memory is short.
pub fn eight_bit_from_sixteen(picture: &impl MatTraitConst) -> opencv::Result<Mat> {
    if picture.depth() != CV_16U {
        let message = format!("expected unsigned 16-bit samples, got OpenCV's depth {}", picture.depth());
        return Err(opencv::Error::new(core::StsUnsupportedFormat, message));
    }
    let mut largest = 0.0;
    core::min_max_loc(&picture.reshape(1, 0)?, None, Some(&mut largest), None, None, &core::no_array())?;
    let scale = 1.0 / f64::from(1 << (used_bits(largest as u16) - 8));
    let mut converted = Mat::default();
    // OpenCV rounds to the nearest integer. Half a step below the middle, that is the integer below: what a shift gives.
    picture.convert_to(&mut converted, CV_8U, scale, (scale - 1.0) / 2.0)?;
    Ok(converted)
}

/// Writes the picture of a mono16 frame: height x width, 8-bit, one channel.
pub(super) fn write_gray_of_mono16(frame: &Frame, gray: &mut Mat) -> opencv::Result<()> {
    match frame.byte_order {
        ByteOrder::LittleEndian => write_samples(frame, u16::from_le_bytes, gray),
        ByteOrder::BigEndian => write_samples(frame, u16::from_be_bytes, gray),
    }
}

/// Reads the bytes in place: rows may begin at any address, which OpenCV does not allow for 16-bit samples.
fn write_samples(frame: &Frame, from_bytes: impl Fn([u8; 2]) -> u16, gray: &mut Mat) -> opencv::Result<()> {
    let samples = |row| <[u8]>::as_chunks(row).0.iter().map(|bytes| from_bytes(*bytes));
    let largest = frame.rows().map(|row| samples(row).fold(0, u16::max)).fold(0, u16::max);
    let shift = used_bits(largest) - 8;
    // The casts hold: the sides are at most MAX_SIDE_PX.
    let size = Size::new(frame.width as i32, frame.height as i32);
    if gray.size()? != size || gray.typ() != CV_8UC1 {
        *gray = Mat::new_size_with_default(size, CV_8UC1, Scalar::default())?;
    }
    for (pixels, row) in gray.data_bytes_mut()?.chunks_exact_mut(frame.width).zip(frame.rows()) {
        for (pixel, sample) in pixels.iter_mut().zip(samples(row)) {
            *pixel = (sample >> shift) as u8;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use opencv::core::{CV_16UC3, Rect, Vec3b, Vec3w};
    use proptest::prelude::*;

    use super::*;
    use crate::frame::Encoding;

    const WIDTH: usize = 7;
    const HEIGHT: usize = 3;

    /// Rows of samples in a byte order. Each row is followed by `padding` bytes of 255, which are larger than every sample.
    fn encode(samples: &[u16], width: usize, order: ByteOrder, padding: usize) -> Vec<u8> {
        let bytes = |sample: &u16| match order {
            ByteOrder::LittleEndian => sample.to_le_bytes(),
            ByteOrder::BigEndian => sample.to_be_bytes(),
        };
        let padded = |row: &[u16]| [row.iter().flat_map(bytes).collect(), vec![255; padding]].concat();
        samples.chunks(width).flat_map(padded).collect()
    }

    /// The grey picture that a frame makes of the samples, after a check that blue, green and red agree with it.
    fn gray_of(samples: &[u16], width: usize, order: ByteOrder, padding: usize) -> Vec<u8> {
        let data = encode(samples, width, order, padding);
        let (height, step) = (samples.len() / width, 2 * width + padding);
        let frame = Frame::new(width, height, step, Encoding::Mono16, order, &data).unwrap();
        let gray = frame.to_gray().unwrap();
        assert_eq!((gray.cols(), gray.rows()), (width as i32, height as i32));
        let gray = gray.data_bytes().unwrap().to_vec();
        let bgr = frame.to_bgr().unwrap();
        let expected: Vec<_> = gray.iter().flat_map(|&pixel| [pixel; 3]).collect();
        assert_eq!(bgr.data_bytes().unwrap(), expected);
        gray
    }

    /// A ramp from 0 to `largest`.
    fn ramp(largest: u16) -> Vec<u16> {
        let last = (WIDTH * HEIGHT - 1) as u32;
        (0..=last).map(|n| (u32::from(largest) * n / last) as u16).collect()
    }

    #[test]
    fn each_depth_reaches_white_whatever_its_stride_and_byte_order() {
        for (bits, largest) in [(10, 0x3ff), (12, 0xfff), (14, 0x3fff), (16, 0xffff)] {
            let expected: Vec<_> = ramp(largest).iter().map(|sample| (sample >> (bits - 8)) as u8).collect();
            assert_eq!((expected[0], expected.last()), (0, Some(&255)));
            for order in [ByteOrder::LittleEndian, ByteOrder::BigEndian] {
                for padding in [0, 1, 6] {
                    let gray = gray_of(&ramp(largest), WIDTH, order, padding);
                    assert_eq!(gray, expected, "{bits} bits, {order:?}, padding {padding}");
                }
            }
        }
    }

    // One sample decides, wherever it is.
    #[test]
    fn the_largest_sample_decides_the_depth() {
        for (largest, shift) in [
            (0, 2),
            (3, 2),
            (255, 2),
            (1023, 2),
            (1024, 4),
            (4095, 4),
            (4096, 6),
            (16_383, 6),
            (16_384, 8),
            (65_535, 8),
        ] {
            for position in [0, WIDTH, WIDTH * HEIGHT - 1] {
                let mut samples = vec![largest.min(700); WIDTH * HEIGHT];
                samples[position] = largest;
                let expected: Vec<_> = samples.iter().map(|sample| (sample >> shift) as u8).collect();
                for order in [ByteOrder::LittleEndian, ByteOrder::BigEndian] {
                    assert_eq!(gray_of(&samples, WIDTH, order, 3), expected, "{largest} at {position}, {order:?}");
                }
            }
        }
    }

    #[test]
    fn a_picture_of_16_bits_is_scaled_as_a_frame_is_and_keeps_its_channels() {
        for (largest, shift) in [(0x3ff, 2), (0xfff, 4), (0x3fff, 6), (0xffff, 8)] {
            let samples = ramp(largest);
            let gray = Mat::new_rows_cols_with_data(HEIGHT as i32, WIDTH as i32, &samples).unwrap();
            let gray = eight_bit_from_sixteen(&gray).unwrap();
            assert_eq!((gray.rows(), gray.typ()), (HEIGHT as i32, CV_8UC1));
            assert_eq!(gray.data_bytes().unwrap(), gray_of(&samples, WIDTH, ByteOrder::LittleEndian, 0), "{largest}");

            // The largest sample is the only red one, in a part of a picture that is brighter elsewhere.
            let mut whole = Mat::new_rows_cols_with_default(5, 9, CV_16UC3, Scalar::all(65_535.0)).unwrap();
            let mut part = Mat::roi_mut(&mut whole, Rect::new(2, 1, 4, 3)).unwrap();
            part.set_to_def(&Scalar::new(9.0, 260.0, 0.0, 0.0)).unwrap();
            *part.at_2d_mut::<Vec3w>(2, 1).unwrap() = Vec3w::from([9, 260, largest]);
            let bgr = eight_bit_from_sixteen(&part).unwrap();
            assert_eq!((bgr.cols(), bgr.rows()), (4, 3));
            let at = |row, column| bgr.at_2d::<Vec3b>(row, column).unwrap().0;
            assert_eq!(at(2, 1), [9, 260, largest].map(|sample| (sample >> shift) as u8));
            assert_eq!(at(0, 3), [9, 260, 0].map(|sample: u16| (sample >> shift) as u8));
        }
    }

    #[test]
    fn every_sample_of_a_picture_is_shifted_not_rounded() {
        for bits in [10, 12, 14, 16] {
            let samples: Vec<_> = (0..=u16::MAX >> (16 - bits)).collect();
            let picture = Mat::new_rows_cols_with_data(samples.len() as i32 / 256, 256, &samples).unwrap();
            let expected: Vec<_> = samples.iter().map(|sample| (sample >> (bits - 8)) as u8).collect();
            assert!(eight_bit_from_sixteen(&picture).unwrap().data_bytes().unwrap() == expected, "{bits} bits");
        }
    }

    #[test]
    fn a_picture_of_other_samples_is_refused() {
        for typ in [CV_8UC1, core::CV_16SC1, core::CV_32FC3] {
            let picture = Mat::new_rows_cols_with_default(3, 5, typ, Scalar::all(1.0)).unwrap();
            let refusal = eight_bit_from_sixteen(&picture).unwrap_err().to_string();
            assert!(refusal.contains("expected unsigned 16-bit samples"), "{refusal}");
        }
    }

    proptest! {
        #[test]
        fn the_picture_of_a_true_16_bit_frame_is_its_high_bytes(
            mut samples in proptest::collection::vec(any::<u16>(), 1..200), width in 1..20_usize, padding in 0..5_usize,
            big_endian: bool,
        ) {
            let width = width.min(samples.len());
            samples.truncate(samples.len() / width * width);
            samples[0] |= 0x4000;
            let order = if big_endian { ByteOrder::BigEndian } else { ByteOrder::LittleEndian };
            let expected: Vec<_> = samples.iter().map(|sample| sample.to_be_bytes()[0]).collect();
            prop_assert_eq!(gray_of(&samples, width, order, padding), expected);
        }
    }
}
