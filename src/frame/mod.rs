//! One camera image as it arrives: raw bytes with a layout, validated once so that later stages can trust it.

mod depth;
mod encoding;

pub use depth::{eight_bit_from_sixteen, used_bits};
pub use encoding::{ByteOrder, Encoding, UnsupportedEncoding};
use opencv::boxed_ref::BoxedRef;
use opencv::core::{CV_8UC3, Mat, MatTraitConst, MatTraitConstManual, Rect};
use opencv::imgproc::{self, cvt_color_def};

/// The largest width or height accepted, in pixels: OpenCV's fixed-point image warps count in 16-bit coordinates.
pub const MAX_SIDE_PX: usize = i16::MAX as usize;

/// Why bytes do not make a [`Frame`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A width or height of zero, or one beyond [`MAX_SIDE_PX`].
    #[error("width x height {width} x {height} is outside 1..={MAX_SIDE_PX}")]
    Size {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// Two pixels share their colour in this encoding, and the last one of each row has no partner.
    #[error("encoding {encoding} needs an even width, got {width}")]
    OddWidth {
        /// The encoding that pairs pixels.
        encoding: Encoding,
        /// Width in pixels.
        width: usize,
    },
    /// A row does not hold the pixels that the width claims.
    #[error("step {step} is smaller than the {needed} bytes of {width} {encoding} pixels")]
    Step {
        /// Bytes from one row to the next.
        step: usize,
        /// Bytes that the pixels of one row need.
        needed: usize,
        /// Width in pixels.
        width: usize,
        /// The layout of the pixels.
        encoding: Encoding,
    },
    /// A picture of OpenCV that is not 8-bit blue, green, red, or whose rows are padded.
    #[error("the picture is not 8-bit blue, green, red without padding")]
    NotBgr,
    /// Fewer bytes than the rows need.
    #[error("data holds {got} bytes, but height {height} x step {step} needs {expected}")]
    Truncated {
        /// Bytes there are.
        got: usize,
        /// Bytes that the rows need.
        expected: usize,
        /// Height in pixels.
        height: usize,
        /// Bytes from one row to the next.
        step: usize,
    },
}

/// A camera image: `height` rows of `width` pixels, row `y` beginning at byte `y * step` of `data`.
///
/// Its samples are 8-bit with values 0 to 255, but for [`Encoding::Mono16`]. Those are converted to 8 bits by the
/// [`used_bits`] of the image, as nothing in a camera's message tells whether 10, 12, 14 or 16 of the bits are used.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    width: usize,
    height: usize,
    step: usize,
    encoding: Encoding,
    byte_order: ByteOrder,
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes bytes for an image after checking that they can be one.
    ///
    /// `width` and `height` are in pixels, `step` in bytes from one row to the next, padding included. Bytes behind the
    /// last row are allowed.
    ///
    /// # Errors
    /// [`FrameError`] says which of the numbers does not agree with the others.
    pub fn new(
        width: usize,
        height: usize,
        step: usize,
        encoding: Encoding,
        byte_order: ByteOrder,
        data: &'a [u8],
    ) -> Result<Self, FrameError> {
        if !(1..=MAX_SIDE_PX).contains(&width) || !(1..=MAX_SIDE_PX).contains(&height) {
            return Err(FrameError::Size { width, height });
        }
        if encoding.is_422() && width % 2 == 1 {
            return Err(FrameError::OddWidth { encoding, width });
        }
        let needed = width * encoding.bytes_per_pixel();
        if step < needed {
            return Err(FrameError::Step { step, needed, width, encoding });
        }
        let expected = step.saturating_mul(height);
        let data = data.get(..expected).ok_or(FrameError::Truncated { got: data.len(), expected, height, step })?;
        Ok(Self { width, height, step, encoding, byte_order, data })
    }

    /// Looks at a picture of OpenCV as a frame: height x width, 8-bit, blue, green, red.
    ///
    /// # Errors
    /// [`FrameError::NotBgr`] for another kind of picture, and those of [`Frame::new`].
    pub fn from_bgr(bgr: &'a impl MatTraitConst) -> Result<Self, FrameError> {
        let data = bgr.data_bytes().ok().filter(|_| bgr.typ() == CV_8UC3).ok_or(FrameError::NotBgr)?;
        let (width, height) = (bgr.cols() as usize, bgr.rows() as usize);
        Self::new(width, height, 3 * width, Encoding::Bgr8, ByteOrder::LittleEndian, data)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The image in grey: height x width, 8-bit, one channel. Of 16-bit samples, the upper 8 of the [`used_bits`] are kept.
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn to_gray(&self) -> opencv::Result<Mat> {
        use Encoding::*;
        let code = match self.encoding {
            Mono8 => return self.with_pixels(|pixels, gray| pixels.copy_to(gray)),
            Mono16 => return depth::gray_from_mono16(self),
            Bgr8 => imgproc::COLOR_BGR2GRAY,
            Rgb8 => imgproc::COLOR_RGB2GRAY,
            Bgra8 => imgproc::COLOR_BGRA2GRAY,
            Rgba8 => imgproc::COLOR_RGBA2GRAY,
            Uyvy => imgproc::COLOR_YUV2GRAY_UYVY,
            Yuyv => imgproc::COLOR_YUV2GRAY_YUYV,
            // OpenCV names a pattern by pixels two and three of its second row, ROS by the first two of its first row.
            BayerRggb8 => imgproc::COLOR_BayerBG2GRAY,
            BayerBggr8 => imgproc::COLOR_BayerRG2GRAY,
            BayerGbrg8 => imgproc::COLOR_BayerGR2GRAY,
            BayerGrbg8 => imgproc::COLOR_BayerGB2GRAY,
        };
        self.with_pixels(|pixels, gray| cvt_color_def(pixels, gray, code))
    }

    /// The image in colour: height x width, 8-bit, blue, green, red. 16-bit samples are converted as in [`Frame::to_gray`].
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn to_bgr(&self) -> opencv::Result<Mat> {
        use Encoding::*;
        let code = match self.encoding {
            Bgr8 => return self.with_pixels(|pixels, bgr| pixels.copy_to(bgr)),
            Mono8 | Mono16 => {
                let gray = self.to_gray()?;
                let mut bgr = Mat::default();
                cvt_color_def(&gray, &mut bgr, imgproc::COLOR_GRAY2BGR)?;
                return Ok(bgr);
            }
            Rgb8 => imgproc::COLOR_RGB2BGR,
            Bgra8 => imgproc::COLOR_BGRA2BGR,
            Rgba8 => imgproc::COLOR_RGBA2BGR,
            Uyvy => imgproc::COLOR_YUV2BGR_UYVY,
            Yuyv => imgproc::COLOR_YUV2BGR_YUYV,
            BayerRggb8 => imgproc::COLOR_BayerBG2BGR,
            BayerBggr8 => imgproc::COLOR_BayerRG2BGR,
            BayerGbrg8 => imgproc::COLOR_BayerGR2BGR,
            BayerGrbg8 => imgproc::COLOR_BayerGB2BGR,
        };
        self.with_pixels(|pixels, bgr| cvt_color_def(pixels, bgr, code))
    }

    /// Lets `convert` fill an image from a view on the pixels: height x width, a channel a byte, row padding skipped.
    fn with_pixels(&self, convert: impl FnOnce(&BoxedRef<Mat>, &mut Mat) -> opencv::Result<()>) -> opencv::Result<Mat> {
        // The casts hold: the sides are at most MAX_SIDE_PX, and what exceeds i32 in `step` is refused by try_from.
        let bytes_per_pixel = self.encoding.bytes_per_pixel();
        let rows = Mat::new_rows_cols_with_data(self.height as i32, i32::try_from(self.step)?, self.data)?;
        let packed = Mat::roi(&rows, Rect::new(0, 0, (self.width * bytes_per_pixel) as i32, self.height as i32))?;
        let pixels = packed.reshape(bytes_per_pixel as i32, 0)?;
        let mut converted = Mat::default();
        convert(&pixels, &mut converted)?;
        Ok(converted)
    }

    /// The bytes of each row's pixels, without the padding.
    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let length = self.width * self.encoding.bytes_per_pixel();
        self.data.chunks_exact(self.step).map(move |row| &row[..length])
    }
}

#[cfg(test)]
mod tests {
    use opencv::core::Vec3b;

    use super::*;

    const WIDTH: usize = 10;
    const HEIGHT: usize = 7;

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
        let gray = if encoding.is_422() { f64::from(luma_of(color)) } else { gray_of(color) };
        assert!((got_gray - gray).abs() <= 1.0, "{case}: grey {got_gray}, expected {gray} at {x},{y}");
        let got = bgr.at_2d::<Vec3b>(y as i32, x as i32).unwrap();
        let monochrome = matches!(encoding, Encoding::Mono8 | Encoding::Mono16);
        for (channel, expected) in color.into_iter().enumerate() {
            let expected = if monochrome { gray_of(color) } else { f64::from(expected) };
            // 4:2:2 rounds luma and chroma to bytes before it mixes them.
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
            (frame(5, 2, 14, Encoding::Bgr8), "step 14 is smaller than the 15 bytes of 5 bgr8 pixels"),
            (frame(4, 6, 11, Encoding::Mono8), "data holds 64 bytes, but height 6 x step 11 needs 66"),
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
            let width = if encoding.is_422() { 2 } else { 1 };
            let frame = Frame::new(width, 1, 9, encoding, ByteOrder::BigEndian, &[128; 9]).unwrap();
            assert_eq!(frame.to_gray().unwrap().cols(), width as i32, "{encoding}");
            assert_eq!(frame.to_bgr().unwrap().rows(), 1, "{encoding}");
        }
    }
}
