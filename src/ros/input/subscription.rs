//! Moves the newest image of a subscription into a mailbox.

use std::time::Instant;

use face_attributes::parameters::Reliability;
use face_attributes::runtime::{Counters, Mailbox};
use futures::{FutureExt, Stream, StreamExt};
use r2r::QosProfile;
use r2r::sensor_msgs::msg::Image;

use super::Received;
use super::image::FrameClock;

/// The QoS of a subscription to a camera.
pub fn image_qos(reliability: Reliability) -> QosProfile {
    match reliability {
        Reliability::BestEffort => QosProfile::sensor_data(),
        Reliability::Reliable => QosProfile::sensor_data().reliable(),
    }
}

/// Moves the newest image into the mailbox, for as long as images come.
pub async fn forward_newest(
    mut images: impl Stream<Item = Image> + Unpin,
    mailbox: &Mailbox<Received>,
    counters: &Counters,
) {
    let start = Instant::now();
    let mut clock = FrameClock::default();
    let mut sequence = 0;
    while let Some(mut newest) = images.next().await {
        let mut received = 1;
        // r2r queues images, and drops the new one once its queue is full.
        while let Some(Some(newer)) = images.next().now_or_never() {
            newest = newer;
            received += 1;
        }
        sequence += received;
        let time = clock.time(&newest.header.stamp, start.elapsed());
        let replaced = u64::from(mailbox.put(Received { sequence, time, image: newest }).is_some());
        counters.add_received(received, received - 1 + replaced);
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn the_newest_image_is_forwarded_and_the_others_are_counted_as_dropped() {
        let image = |width| Image { width, ..Default::default() };
        let (mailbox, counters) = (Mailbox::new(), Counters::default());
        forward_newest(stream::iter([image(1), image(2), image(3)]), &mailbox, &counters).await;
        assert_eq!((counters.received(), counters.dropped()), (3, 2));
        assert_eq!(mailbox.take().map(|received| (received.image.width, received.sequence)), Some((3, 3)));
    }
}
