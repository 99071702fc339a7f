//! Pictures as image messages.

use opencv::core::Mat;
use opencv::prelude::*;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;

/// An image message of a picture (8-bit, blue, green, red, rows without padding).
///
/// # Errors
/// Those of OpenCV for a picture whose rows are padded.
pub fn bgr_image(header: Header, bgr: &Mat) -> opencv::Result<Image> {
    let (width, height) = (bgr.cols().unsigned_abs(), bgr.rows().unsigned_abs());
    let data = bgr.data_bytes()?.to_vec();
    Ok(Image { header, width, height, step: 3 * width, encoding: "bgr8".to_owned(), is_bigendian: 0, data })
}
