//! What all publishers share.

use opencv::core::Mat;
use r2r::Publisher;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;

use crate::ros::message::bgr_image;

/// Whether anybody listens to the topic.
pub fn has_listeners<T: r2r::WrappedTypesupport + 'static>(publisher: &Publisher<T>) -> r2r::Result<bool> {
    Ok(publisher.get_inter_process_subscription_count()? > 0)
}

/// Publishes a picture (8-bit, blue, green, red).
pub fn publish_bgr(publisher: &Publisher<Image>, header: &Header, bgr: &Mat) -> anyhow::Result<()> {
    Ok(publisher.publish(&bgr_image(header.clone(), bgr)?)?)
}
