//! Limits the rate of frames by the times at which they were taken.

use std::time::Duration;

/// Lets frames pass at a limited rate. Frames that come a little early or late do not lower the rate.
#[derive(Debug, Default)]
pub struct RateLimit {
    /// When the next frame is due, and the time of the last frame that came.
    due: Option<(Duration, Duration)>,
}

impl RateLimit {
    /// Whether a frame taken at `time` passes, at most `rate_hz` per second on average; 0 lets all pass.
    pub fn admits(&mut self, rate_hz: f64, time: Duration) -> bool {
        if rate_hz <= 0.0 {
            self.due = None;
            return true;
        }
        // The period of a rate near 0 is longer than any duration.
        let period = Duration::try_from_secs_f64(1.0 / rate_hz).unwrap_or(Duration::MAX);
        let due = match self.due {
            // A time that goes back begins anew.
            Some((due, last)) if time >= last => due,
            _ => time,
        };
        let passes = time.saturating_add(period / 2) >= due;
        let next_due = due.saturating_add(period);
        // What was not used of a pause is not made up for.
        let next = if passes && time >= next_due {
            time.saturating_add(period)
        } else if passes {
            next_due
        } else {
            due
        };
        self.due = Some((next, time));
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(rate_hz: f64, times_ms: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut limit = RateLimit::default();
        times_ms.into_iter().filter(|ms| limit.admits(rate_hz, Duration::from_millis(*ms))).collect()
    }

    #[test]
    fn frames_pass_at_the_rate_also_where_it_does_not_divide_that_of_the_camera() {
        let camera = || (0..300).map(|n| n * 100 / 3);
        assert_eq!(passing(0.0, camera()).len(), 300);
        assert!((100..=101).contains(&passing(10.0, camera()).len()));
        assert!((199..=201).contains(&passing(20.0, camera()).len()));
        assert_eq!(passing(60.0, camera()).len(), 300);
    }

    #[test]
    fn a_rate_near_zero_lets_the_first_frame_pass_only() {
        for rate_hz in [f64::from_bits(1), f64::MIN_POSITIVE, 1e-20, 1e-19, 1e-6] {
            assert_eq!(
                passing(rate_hz, [1_700_000_000_000, 1_700_000_000_033, 1_700_000_060_000]),
                [1_700_000_000_000]
            );
        }
    }

    #[test]
    fn jitter_does_not_lower_the_rate() {
        let camera = (0..300).map(|n| n * 100 / 3 + [0, 9, 4, 11, 2][n as usize % 5]);
        let passed = passing(10.0, camera).len();
        assert!((99..=101).contains(&passed), "{passed}");
    }

    #[test]
    fn a_pause_is_not_made_up_for_and_a_time_that_goes_back_begins_anew() {
        assert_eq!(passing(1.0, [0, 100, 9000, 9100, 9200]), [0, 9000]);
        assert_eq!(passing(1.0, [9000, 9100, 50, 100]), [9000, 50]);
    }
}
