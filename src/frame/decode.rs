//! Compressed images as frames: JPEG and PNG, as image_transport's plugin `compressed` sends them.

use std::fmt;

use opencv::core::{CV_8UC1, CV_8UC3, CV_16U, Mat};
use opencv::imgcodecs::{IMREAD_ANYCOLOR, IMREAD_ANYDEPTH, IMREAD_IGNORE_ORIENTATION, imdecode};
use opencv::prelude::*;

use super::completeness::{jpeg_is_complete, jpeg_size, png_is_complete, png_size};
use super::{ByteOrder, Encoding, Frame, FrameError, MAX_SIDE_PX, eight_bit_from_sixteen};

/// The most pixels that are decoded. A message of a few kilobytes may claim more than the memory holds.
const MAX_PIXELS: usize = 100_000_000;
/// What is quoted of a format at most: a damaged message may hold anything there.
const MAX_FORMAT_CHARS: usize = 60;

/// How a picture is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// JPEG (ITU-T T.81).
    Jpeg,
    /// PNG (W3C PNG), 8-bit or 16-bit.
    Png,
}

impl Compression {
    /// By the first bytes of the picture.
    fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\xff\xd8\xff") {
            Some(Self::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Self::Png)
        } else {
            None
        }
    }

    /// Whether the format of a message names this compression. One that names none agrees with each.
    fn agrees_with(self, format: &str) -> bool {
        let format = format.to_ascii_lowercase();
        let (names_jpeg, names_png) = (format.contains("jpeg") || format.contains("jpg"), format.contains("png"));
        match self {
            Self::Jpeg => names_jpeg || !names_png,
            Self::Png => names_png || !names_jpeg,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
        })
    }
}

/// Why a compressed image is no picture. `format` is the message's, cut after 60 characters.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No bytes.
    #[error("the image of format {format:?} holds no data")]
    Empty {
        /// The format of the message.
        format: String,
    },
    /// Neither JPEG nor PNG.
    #[error("the data of format {format:?} are neither JPEG nor PNG, which are the compressions that are read")]
    Unsupported {
        /// The format of the message.
        format: String,
    },
    /// The picture ends before its end.
    #[error("the {compression} of format {format:?} is cut short after {got} bytes")]
    Truncated {
        /// The format of the message.
        format: String,
        /// The compression of the data.
        compression: Compression,
        /// Bytes there are.
        got: usize,
    },
    /// A side that no frame has, or more pixels than are decoded.
    #[error(
        "the {compression} of format {format:?} claims {width} x {height} pixels; sides of 1 to {MAX_SIDE_PX} and \
         {MAX_PIXELS} pixels at the most are read"
    )]
    Size {
        /// The format of the message.
        format: String,
        /// The compression of the data.
        compression: Compression,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// Damaged, or of a kind that OpenCV does not read.
    #[error("the {compression} of format {format:?} cannot be decoded: {reason}")]
    Damaged {
        /// The format of the message.
        format: String,
        /// The compression of the data.
        compression: Compression,
        /// What the decoder says.
        reason: String,
    },
}

/// A decoded image, which owns its pixels: rows without padding, 8-bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    encoding: Encoding,
    pixels: Vec<u8>,
    disagreement: Option<String>,
}

impl Picture {
    /// The picture as a frame.
    ///
    /// # Errors
    /// Those of [`Frame::new`], which a decoded picture does not have.
    pub fn frame(&self) -> Result<Frame<'_>, FrameError> {
        Frame::new(self.width, self.height, self.step(), self.encoding, ByteOrder::LittleEndian, &self.pixels)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes from one row to the next.
    pub fn step(&self) -> usize {
        self.width * self.encoding.bytes_per_pixel()
    }

    /// Grey, blue green red, or the Bayer pattern that the format names.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The rows.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Where the format names another compression than that of the data: what is to be said of it. The data decide.
    pub fn disagreement(&self) -> Option<&str> {
        self.disagreement.as_deref()
    }
}

/// Decodes the data of a `sensor_msgs/CompressedImage`, whose `format` is that of image_transport (`rgb8; jpeg compressed bgr8`),
/// or the compression alone (`jpeg`).
///
/// Samples of 16 bits are converted as those of a frame are ([`eight_bit_from_sixteen`]). An orientation in EXIF data is ignored,
/// because pixels are places in the camera. A Bayer pattern is sent as a grey picture, and the format names the pattern.
///
/// # Errors
/// [`DecodeError`] names the format, and what is wrong with the data.
pub fn decode(format: &str, bytes: &[u8]) -> Result<Picture, DecodeError> {
    let named = || format.chars().take(MAX_FORMAT_CHARS).collect::<String>();
    if bytes.is_empty() {
        return Err(DecodeError::Empty { format: named() });
    }
    let compression = Compression::of(bytes).ok_or_else(|| DecodeError::Unsupported { format: named() })?;
    let (size, is_complete) = match compression {
        Compression::Jpeg => (jpeg_size(bytes), jpeg_is_complete(bytes)),
        Compression::Png => (png_size(bytes), png_is_complete(bytes)),
    };
    if let Some((width, height)) = size
        && (![width, height].iter().all(|side| (1..=MAX_SIDE_PX).contains(side)) || width * height > MAX_PIXELS)
    {
        return Err(DecodeError::Size { format: named(), compression, width, height });
    }
    if !is_complete {
        return Err(DecodeError::Truncated { format: named(), compression, got: bytes.len() });
    }
    let damaged = |reason| DecodeError::Damaged { format: named(), compression, reason };
    let mat = decode_pixels(bytes).map_err(|error| damaged(error.to_string()))?;
    let encoding = match mat.typ() {
        _ if mat.empty() => return Err(damaged("OpenCV finds no picture in it".to_owned())),
        CV_8UC1 => bayer_pattern(format).unwrap_or(Encoding::Mono8),
        CV_8UC3 => Encoding::Bgr8,
        typ => return Err(damaged(format!("its pixels have OpenCV's type {typ}"))),
    };
    let pixels = mat.data_bytes().map_err(|error| damaged(error.to_string()))?.to_vec();
    let disagreement = (!compression.agrees_with(format))
        .then(|| format!("the format is {:?}, but the data are {compression}, and are read as that", named()));
    Ok(Picture { width: mat.cols() as usize, height: mat.rows() as usize, encoding, pixels, disagreement })
}

/// Grey or blue, green, red, 8-bit; empty where OpenCV finds no picture.
fn decode_pixels(bytes: &[u8]) -> opencv::Result<Mat> {
    let flags = IMREAD_ANYCOLOR | IMREAD_ANYDEPTH | IMREAD_IGNORE_ORIENTATION;
    let mat = imdecode(&Mat::from_slice(bytes)?, flags)?;
    if mat.depth() == CV_16U { eight_bit_from_sixteen(&mat) } else { Ok(mat) }
}

/// The 8-bit Bayer pattern in the first part of the format, which is the encoding before the compression.
fn bayer_pattern(format: &str) -> Option<Encoding> {
    use Encoding::*;
    let encoding = format.split(';').next()?.trim().parse().ok()?;
    matches!(encoding, BayerRggb8 | BayerBggr8 | BayerGbrg8 | BayerGrbg8).then_some(encoding)
}

#[cfg(test)]
mod tests {
    use opencv::core::{CV_16UC1, CV_16UC3, Vec3b, Vector};
    use opencv::imgcodecs::imencode_def;

    use super::*;

    const WIDTH: i32 = 23;
    const HEIGHT: i32 = 14;

    /// Blue, green, red: orange at the top left, elsewhere a dark cyan.
    fn color_at(x: i32, y: i32) -> Vec3b {
        if x < 8 && y < 6 { Vec3b::from([20, 120, 240]) } else { Vec3b::from([140, 100, 10]) }
    }

    fn color_picture() -> Mat {
        let mut bgr = Mat::new_rows_cols_with_default(HEIGHT, WIDTH, CV_8UC3, 0.into()).unwrap();
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                *bgr.at_2d_mut(y, x).unwrap() = color_at(x, y);
            }
        }
        bgr
    }

    /// Samples of 12 bits, no two rows or columns alike.
    fn samples() -> Vec<u16> {
        (0..WIDTH * HEIGHT).map(|n| (n * 4095 / (WIDTH * HEIGHT - 1)) as u16).collect()
    }

    fn encode(extension: &str, picture: &impl opencv::core::ToInputArray) -> Vec<u8> {
        let mut bytes = Vector::new();
        assert!(imencode_def(extension, picture, &mut bytes).unwrap());
        bytes.to_vec()
    }

    fn check_color(case: &str, picture: &Picture, tolerance: i32) {
        assert_eq!((picture.width(), picture.height()), (WIDTH as usize, HEIGHT as usize), "{case}");
        let bgr = picture.frame().unwrap().to_bgr().unwrap();
        for (x, y) in [(2, 2), (5, 3), (20, 2), (3, 11), (18, 12)] {
            let (got, expected) = (bgr.at_2d::<Vec3b>(y, x).unwrap(), color_at(x, y));
            let near = |channel: usize| (i32::from(got[channel]) - i32::from(expected[channel])).abs() <= tolerance;
            assert!((0..3).all(near), "{case}: {got:?}, expected {expected:?} at {x},{y}");
        }
    }

    #[test]
    fn colour_is_read_whatever_the_format_says_of_its_order() {
        let (jpeg, png) = (encode(".jpg", &color_picture()), encode(".png", &color_picture()));
        for format in
            ["bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed bgr8", "jpeg", "jpg", "", "bayer_rggb8; jpeg"]
        {
            let picture = decode(format, &jpeg).unwrap();
            assert_eq!((picture.encoding(), picture.disagreement()), (Encoding::Bgr8, None), "{format}");
            check_color(format, &picture, 12);
        }
        for format in ["bgr8; png compressed bgr8", "rgb8; png compressed bgr8", "png", "PNG"] {
            let picture = decode(format, &png).unwrap();
            assert_eq!(picture.disagreement(), None, "{format}");
            check_color(format, &picture, 0);
        }
    }

    #[test]
    fn the_data_decide_where_the_format_names_another_compression() {
        for (format, extension, said) in [("png", ".jpg", "JPEG"), ("rgb8; jpeg compressed bgr8", ".png", "PNG")] {
            let picture = decode(format, &encode(extension, &color_picture())).unwrap();
            check_color(format, &picture, 12);
            let disagreement = picture.disagreement().unwrap();
            assert!(disagreement.contains(&format!("{format:?}")) && disagreement.contains(said), "{disagreement}");
        }
    }

    #[test]
    fn a_png_of_16_bits_gives_what_a_frame_of_the_same_samples_gives() {
        let samples = samples();
        let data: Vec<_> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let (width, height) = (WIDTH as usize, HEIGHT as usize);
        let order = ByteOrder::LittleEndian;
        let frame = Frame::new(width, height, 2 * width, Encoding::Mono16, order, &data).unwrap();
        let expected = frame.to_gray().unwrap().data_bytes().unwrap().to_vec();
        let picture = Mat::new_rows_cols_with_data(HEIGHT, WIDTH, &samples).unwrap();
        assert_eq!(picture.typ(), CV_16UC1);
        let png = encode(".png", &picture);
        for format in ["16UC1; png compressed ", "mono16; png compressed", "png"] {
            let picture = decode(format, &png).unwrap();
            assert_eq!(picture.encoding(), Encoding::Mono8);
            assert_eq!(picture.into_pixels(), expected, "{format}");
        }

        let mut deep = Mat::default();
        color_picture().convert_to(&mut deep, CV_16UC3, 257.0, 0.0).unwrap();
        check_color("16-bit colour", &decode("rgb16; png compressed bgr16", &encode(".png", &deep)).unwrap(), 0);
    }

    #[test]
    fn a_bayer_pattern_is_sent_as_grey_and_named_by_the_format() {
        // Blue where row and column are odd, red where both are even: red, green, green, blue.
        let pattern: Vec<u8> = (0..HEIGHT * WIDTH)
            .map(|n| {
                let (x, y) = (n % WIDTH, n / WIDTH);
                color_at(x, y)[[2, 1, 1, 0][(2 * (y % 2) + x % 2) as usize]]
            })
            .collect();
        let png = encode(".png", &Mat::new_rows_cols_with_data(HEIGHT, WIDTH, &pattern).unwrap());
        let picture = decode("bayer_rggb8; png compressed ", &png).unwrap();
        assert_eq!(picture.encoding(), Encoding::BayerRggb8);
        check_color("bayer", &picture, 1);
        let gray = decode("mono8; png compressed ", &png).unwrap();
        assert_eq!((gray.encoding(), gray.into_pixels()), (Encoding::Mono8, pattern));
    }

    #[test]
    fn an_orientation_in_exif_data_is_ignored() {
        let jpeg = encode(".jpg", &color_picture());
        // Orientation 6: to be turned by 90 degrees for display.
        let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = [&jpeg[..2], exif, &jpeg[2..]].concat();
        let upright = imdecode(&Mat::from_slice(&turned).unwrap(), opencv::imgcodecs::IMREAD_COLOR).unwrap();
        assert_eq!(upright.cols(), HEIGHT, "the orientation is not in the data");
        check_color("with an orientation", &decode("jpeg", &turned).unwrap(), 12);
    }

    #[test]
    fn what_is_cut_short_is_refused_at_each_length_and_padding_is_not() {
        for (format, extension) in [("jpeg", ".jpg"), ("png", ".png")] {
            let bytes = encode(extension, &color_picture());
            for length in 0..bytes.len() {
                let error = decode(format, &bytes[..length]).unwrap_err().to_string();
                assert!(error.contains(&format!("{format:?}")), "{length}: {error}");
            }
            check_color(format, &decode(format, &[&bytes[..], &[0; 40]].concat()).unwrap(), 12);
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_by_the_name_of_its_format() {
        let png = encode(".png", &color_picture());
        let mut huge = png.clone();
        huge[16..24].copy_from_slice(&[0, 0, 0x7f, 0xff, 0, 0, 0x7f, 0xff]);
        let mut absurd = png.clone();
        absurd[16..20].copy_from_slice(&[0xff; 4]);
        let mut jpeg = encode(".jpg", &color_picture());
        // The header of the frame: height, width.
        let at = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap() + 5;
        jpeg[at..at + 4].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
        let mut damaged = png.clone();
        damaged[50] ^= 0xff;
        let depth_header = [&[0; 12][..], &png].concat();
        let cases = [
            ("jpeg", vec![], "holds no data"),
            ("h264", vec![0, 0, 0, 1, 0x67, 0x42], "neither JPEG nor PNG"),
            ("16UC1; compressedDepth png", depth_header, "neither JPEG nor PNG"),
            ("png", huge, "claims 32767 x 32767 pixels"),
            ("png", absurd, "claims 4294967295 x 14 pixels"),
            ("jpeg", jpeg, "claims 65535 x 65535 pixels"),
            ("bgr8; png compressed bgr8", damaged, "cannot be decoded"),
        ];
        for (format, bytes, reason) in cases {
            let error = decode(format, &bytes).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(&format!("{format:?}")), "{error}");
        }
        let endless = decode(&"\n".repeat(100_000), &[7]).unwrap_err().to_string();
        assert!(endless.len() < 300, "{endless}");
    }
}
