//! Image messages as frames.

use std::time::Duration;

use face_attributes::frame::{ByteOrder, Frame, FrameError, UnsupportedEncoding};
use r2r::builtin_interfaces::msg::Time;
use r2r::sensor_msgs::msg::Image;

/// An image message as it arrived.
#[derive(Debug)]
pub struct Received {
    /// Grows from image to image of a camera.
    pub sequence: u64,
    /// When the image was taken, see [`frame_time`].
    pub time: Duration,
    /// The message.
    pub image: Image,
}

/// Why an image message is no frame.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error(transparent)]
    Encoding(#[from] UnsupportedEncoding),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Views an image message as a frame, without copying its pixels.
///
/// # Errors
/// [`ImageError`] where the encoding is not supported or the sizes do not agree.
pub fn frame_of(image: &Image) -> Result<Frame<'_>, ImageError> {
    let byte_order = if image.is_bigendian == 0 { ByteOrder::LittleEndian } else { ByteOrder::BigEndian };
    let [width, height, step] = [image.width, image.height, image.step].map(|n| n as usize);
    Ok(Frame::new(width, height, step, image.encoding.parse()?, byte_order, &image.data)?)
}

/// When an image was taken: its stamp, or where the camera gives none (0), the time of its arrival.
///
/// A stamp before 1970 counts as none.
pub fn frame_time(stamp: &Time, arrival: Duration) -> Duration {
    let stamp = u64::try_from(stamp.sec).map_or(Duration::ZERO, |secs| Duration::new(secs, stamp.nanosec));
    if stamp.is_zero() { arrival } else { stamp }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_tells_the_time_and_the_arrival_where_there_is_none() {
        let arrival = Duration::from_millis(700);
        let time = |sec, nanosec| frame_time(&Time { sec, nanosec }, arrival);
        assert_eq!(time(3, 250_000_000), Duration::from_millis(3250));
        assert_eq!(time(0, 1), Duration::from_nanos(1));
        assert_eq!((time(0, 0), time(-1, 5)), (arrival, arrival));
    }
}
