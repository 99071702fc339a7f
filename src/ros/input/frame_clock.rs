//! When images were taken.

use std::time::Duration;

use r2r::builtin_interfaces::msg::Time;

/// Tells when images were taken: by their stamps, and by their arrival while the camera gives no stamp (0) or the same one again.
#[derive(Debug, Default)]
pub struct FrameClock {
    last: Option<Reading>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    stamp: Duration,
    arrival: Duration,
    time: Duration,
}

impl FrameClock {
    /// When the next image was taken. `arrival` counts from any fixed origin. A stamp before 1970 counts as none.
    pub fn time(&mut self, stamp: &Time, arrival: Duration) -> Duration {
        let stamp = u64::try_from(stamp.sec).map_or(Duration::ZERO, |secs| Duration::new(secs, stamp.nanosec));
        let time = match self.last {
            Some(last) if stamp == last.stamp => last.time + arrival.saturating_sub(last.arrival),
            None if stamp.is_zero() => arrival,
            _ => stamp,
        };
        self.last = Some(Reading { stamp, arrival, time });
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The times of images with these stamps and arrivals, in milliseconds.
    fn times(images: &[(u64, u64)]) -> Vec<Duration> {
        let mut clock = FrameClock::default();
        let stamp =
            |stamp_ms: u64| Time { sec: (stamp_ms / 1000) as i32, nanosec: (stamp_ms % 1000) as u32 * 1_000_000 };
        images.iter().map(|(stamp_ms, arrival_ms)| clock.time(&stamp(*stamp_ms), ms(*arrival_ms))).collect()
    }

    #[test]
    fn the_stamp_tells_the_time() {
        assert_eq!(times(&[(3250, 7), (3283, 8), (1000, 9)]), [ms(3250), ms(3283), ms(1000)]);
    }

    #[test]
    fn without_a_stamp_or_with_one_that_stands_still_the_arrival_tells_the_time() {
        assert_eq!(times(&[(0, 7), (0, 40), (0, 3_600_040)]), [ms(7), ms(40), ms(3_600_040)]);
        assert_eq!(times(&[(5000, 7), (5000, 40), (5000, 3_600_040)]), [ms(5000), ms(5033), ms(3_605_033)]);
    }

    #[test]
    fn a_stamp_before_1970_counts_as_none() {
        assert_eq!(FrameClock::default().time(&Time { sec: -1, nanosec: 5 }, ms(70)), ms(70));
    }
}
