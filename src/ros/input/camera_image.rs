//! An image of a camera, however it was sent, as a frame.

use std::sync::OnceLock;
use std::time::Duration;

use face_attributes::frame::{ByteOrder, DecodeError, Frame, FrameError, Picture, UnsupportedEncoding, decode};
use r2r::sensor_msgs::msg::{CompressedImage, Image};
use r2r::std_msgs::msg::Header;

use super::native::NativeImage;

/// An image as it arrived.
pub struct Received {
    /// Grows from image to image of a camera.
    pub sequence: u64,
    /// When the image was taken, see [`FrameClock`](super::FrameClock).
    pub time: Duration,
    /// The message.
    pub image: CameraImage,
}

/// An image message of either transport.
pub struct CameraImage {
    /// The message's header.
    pub header: Header,
    pixels: Pixels,
}

enum Pixels {
    Raw(NativeImage),
    /// Decoded when the frame is first asked for: not where nobody wants it.
    Compressed {
        message: CompressedImage,
        picture: OnceLock<Result<Picture, DecodeError>>,
    },
}

/// Why an image message is no frame.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Encoding(#[from] UnsupportedEncoding),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Decode(String),
}

impl CameraImage {
    /// What is known of the image without decoding it, for example `640x480 bgr8`.
    pub fn description(&self) -> String {
        match &self.pixels {
            Pixels::Raw(image) => {
                let [width, height, _] = image.sizes();
                format!("{width}x{height} {}", image.encoding())
            }
            Pixels::Compressed { message, picture } => match picture.get() {
                Some(Ok(picture)) => format!("{}x{} {}", picture.width(), picture.height(), message.format),
                _ => message.format.clone(),
            },
        }
    }
}

impl From<NativeImage> for CameraImage {
    fn from(image: NativeImage) -> Self {
        Self { header: image.header(), pixels: Pixels::Raw(image) }
    }
}

impl From<CompressedImage> for CameraImage {
    fn from(mut message: CompressedImage) -> Self {
        let header = std::mem::take(&mut message.header);
        Self { header, pixels: Pixels::Compressed { message, picture: OnceLock::new() } }
    }
}

/// The image as a frame. Raw pixels are not copied.
///
/// # Errors
/// [`ImageError`] where the encoding or the compression is not supported, or the sizes do not agree.
pub fn frame_of(image: &CameraImage) -> Result<Frame<'_>, ImageError> {
    match &image.pixels {
        Pixels::Raw(raw) => frame(raw.sizes(), raw.encoding(), raw.is_big_endian(), raw.data()),
        Pixels::Compressed { message, picture } => {
            let decoded = picture.get_or_init(|| decode(&message.format, &message.data));
            Ok(decoded.as_ref().map_err(|error| ImageError::Decode(error.to_string()))?.frame()?)
        }
    }
}

/// An image message as a frame, without copying its pixels.
///
/// # Errors
/// As [`frame_of`].
pub fn frame_of_message(image: &Image) -> Result<Frame<'_>, ImageError> {
    frame([image.width, image.height, image.step], &image.encoding, image.is_bigendian != 0, &image.data)
}

fn frame<'a>(sizes: [u32; 3], encoding: &str, is_big_endian: bool, data: &'a [u8]) -> Result<Frame<'a>, ImageError> {
    let byte_order = if is_big_endian { ByteOrder::BigEndian } else { ByteOrder::LittleEndian };
    let [width, height, step] = sizes.map(|n| n as usize);
    Ok(Frame::new(width, height, step, encoding.parse()?, byte_order, data)?)
}
