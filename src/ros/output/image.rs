//! Pictures as image messages.

use opencv::core::Mat;
use opencv::prelude::*;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;
use r2r::{NativeMsg, WrappedTypesupport};

/// An image message of a picture (8-bit, blue, green, red, rows without padding). It is written where the middleware reads it: a
/// message of r2r's own would be copied there.
///
/// # Errors
/// Those of OpenCV for a picture whose rows are padded.
pub fn bgr_image(header: &Header, bgr: &Mat) -> opencv::Result<NativeMsg<Image>> {
    let mut message = NativeMsg::<Image>::new();
    header.copy_to_native(&mut message.header);
    (message.width, message.height) = (bgr.cols().unsigned_abs(), bgr.rows().unsigned_abs());
    message.step = 3 * message.width;
    message.encoding.assign("bgr8");
    message.data.update(bgr.data_bytes()?);
    Ok(message)
}
