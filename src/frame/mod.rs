//! One camera image as it arrives: raw bytes with a layout, validated once so that later stages can trust it.

mod completeness;
mod decode;
mod depth;
mod encoding;

pub use completeness::{jpeg_is_complete, png_is_complete};
pub use decode::{Compression, DecodeError, Picture, decode};
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
    /// Two rows share their colour in this encoding, and the last one has no partner.
    #[error("encoding {encoding} needs an even height, got {height}")]
    OddHeight {
        /// The encoding that pairs rows.
        encoding: Encoding,
        /// Height in pixels.
        height: usize,
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
    #[error("data holds {got} bytes, but {rows} rows x step {step} need {expected}")]
    Truncated {
        /// Bytes there are.
        got: usize,
        /// Bytes that the rows need.
        expected: usize,
        /// The rows of all planes.
        rows: usize,
        /// Bytes from one row to the next.
        step: usize,
    },
}

/// A camera image: `height` rows of `width` pixels, row `y` beginning at byte `y * step` of `data`. The rows of a second plane
/// follow in the same way.
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
    /// last row are allowed. In an encoding of two planes, `height` and `step` are those of the first one.
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
        if encoding.pairs_columns() && width % 2 == 1 {
            return Err(FrameError::OddWidth { encoding, width });
        }
        if encoding.pairs_rows() && height % 2 == 1 {
            return Err(FrameError::OddHeight { encoding, height });
        }
        let needed = width * encoding.bytes_per_pixel();
        if step < needed {
            return Err(FrameError::Step { step, needed, width, encoding });
        }
        let rows = rows_of_planes(encoding, height);
        let expected = step.saturating_mul(rows);
        let data = data.get(..expected).ok_or(FrameError::Truncated { got: data.len(), expected, rows, step })?;
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
        let mut gray = Mat::default();
        self.write_gray(&mut gray)?;
        Ok(gray)
    }

    /// Writes what [`Frame::to_gray`] gives. The memory of `gray` is used again where it has the same size.
    ///
    /// # Errors
    /// Those of [`Frame::to_gray`].
    pub fn write_gray(&self, gray: &mut Mat) -> opencv::Result<()> {
        use Encoding::*;
        let code = match self.encoding {
            Mono8 | Nv12 | Nv21 => return self.with_pixels(|pixels| pixels.copy_to(gray)),
            Mono16 => return depth::write_gray_of_mono16(self, gray),
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
        self.with_pixels(|pixels| cvt_color_def(pixels, gray, code))
    }

    /// The image in colour: height x width, 8-bit, blue, green, red. 16-bit samples are converted as in [`Frame::to_gray`].
    ///
    /// # Errors
    /// Only those of OpenCV, for example when memory is short.
    pub fn to_bgr(&self) -> opencv::Result<Mat> {
        let mut bgr = Mat::default();
        self.write_bgr(&mut bgr)?;
        Ok(bgr)
    }

    /// Lets `look` see what [`Frame::to_bgr`] gives. Only an image of another encoding is converted, into `buffer`, whose memory is
    /// used again where it has the same size.
    ///
    /// # Errors
    /// Those of [`Frame::to_bgr`] and of `look`.
    pub fn with_bgr<T, E: From<opencv::Error>>(
        &self,
        buffer: &mut Mat,
        look: impl FnOnce(&BoxedRef<Mat>) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.encoding == Encoding::Bgr8 {
            return self.with_pixels(look);
        }
        self.write_bgr(buffer)?;
        let whole = Rect::new(0, 0, buffer.cols(), buffer.rows());
        look(&Mat::roi(buffer, whole)?)
    }

    fn write_bgr(&self, bgr: &mut Mat) -> opencv::Result<()> {
        use Encoding::*;
        let code = match self.encoding {
            Bgr8 => return self.with_pixels(|pixels| pixels.copy_to(bgr)),
            Mono8 => imgproc::COLOR_GRAY2BGR,
            Mono16 => return cvt_color_def(&self.to_gray()?, bgr, imgproc::COLOR_GRAY2BGR),
            Nv12 | Nv21 => {
                let code =
                    if self.encoding == Nv12 { imgproc::COLOR_YUV2BGR_NV12 } else { imgproc::COLOR_YUV2BGR_NV21 };
                let rows = rows_of_planes(self.encoding, self.height);
                return self.with_rows(rows, |planes| cvt_color_def(planes, bgr, code));
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
        self.with_pixels(|pixels| cvt_color_def(pixels, bgr, code))
    }

    /// Lets `look` see a view on the pixels: height x width, a channel a byte, row padding skipped. A second plane is not in the view.
    fn with_pixels<T, E: From<opencv::Error>>(
        &self,
        look: impl FnOnce(&BoxedRef<Mat>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with_rows(self.height, |rows| look(&rows.reshape(self.encoding.bytes_per_pixel() as i32, 0)?))
    }

    /// Lets `look` see a view on the first `count` rows of all planes, a column a byte, row padding skipped.
    fn with_rows<T, E: From<opencv::Error>>(
        &self,
        count: usize,
        look: impl FnOnce(&BoxedRef<Mat>) -> Result<T, E>,
    ) -> Result<T, E> {
        // The casts hold: the sides are at most MAX_SIDE_PX, and what exceeds i32 in `step` is refused by try_from.
        let (width, height) = ((self.width * self.encoding.bytes_per_pixel()) as i32, count as i32);
        let data = &self.data[..self.step * count];
        let step = i32::try_from(self.step).map_err(opencv::Error::from)?;
        let padded = Mat::new_rows_cols_with_data(height, step, data)?;
        look(&Mat::roi(&padded, Rect::new(0, 0, width, height))?)
    }

    /// The bytes of each row's pixels, without the padding; of the first plane.
    fn rows(&self) -> impl Iterator<Item = &[u8]> {
        let length = self.width * self.encoding.bytes_per_pixel();
        self.data.chunks_exact(self.step).take(self.height).map(move |row| &row[..length])
    }
}

/// The rows of all planes of an image of this height.
fn rows_of_planes(encoding: Encoding, height: usize) -> usize {
    if encoding.pairs_rows() { height + height / 2 } else { height }
}

#[cfg(test)]
mod tests;
