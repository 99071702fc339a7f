//! The times of a video's pictures.

use std::time::Duration;

/// Where neither the file nor its rate tells.
const DEFAULT_INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// Rates that are taken for one, in pictures per second. Containers without a rate give their unit of time for it.
const RATES: std::ops::RangeInclusive<f64> = 0.01..=1000.0;

/// Longest time that is taken for one, in milliseconds: 10 years. Files without times give larger ones or negative ones.
const MAX_TIME_MS: f64 = 10.0 * 365.0 * 86_400e3;

/// Makes times of what the reader of a video gives.
///
/// OpenCV 4.6 gives 0 for the last pictures of a video whose pictures are not stored in the order in which they are shown, and
/// other versions for files that hold no times. There, a picture comes as long after the one before as that one did.
#[derive(Debug)]
pub struct Clock {
    /// What the reader gives for the first picture: where it gives the time of decoding, the first picture has waited for others.
    start: Duration,
    last: Option<Duration>,
    interval: Duration,
}

impl Clock {
    /// For a video with so many pictures per second, as its container says or guesses.
    pub fn new(rate: f64) -> Self {
        let interval = RATES.contains(&rate).then(|| Duration::from_secs_f64(1.0 / rate));
        Self { start: Duration::ZERO, last: None, interval: interval.unwrap_or(DEFAULT_INTERVAL) }
    }

    /// The time of the next picture since the first one. It never decreases. The reader gives `time_ms`.
    pub fn time(&mut self, time_ms: f64) -> Duration {
        let given = (0.0..MAX_TIME_MS).contains(&time_ms).then(|| Duration::from_secs_f64(time_ms / 1e3));
        let time = match (self.last, given.filter(|given| !given.is_zero())) {
            (None, given) => {
                self.start = given.unwrap_or_default();
                Duration::ZERO
            }
            (Some(last), None) => last + self.interval,
            (Some(last), Some(given)) => {
                let interval = given.saturating_sub(self.start).saturating_sub(last);
                self.interval = if interval.is_zero() { self.interval } else { interval };
                last + interval
            }
        };
        self.last = Some(time);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(rate: f64, given_ms: &[f64]) -> Vec<u128> {
        let mut clock = Clock::new(rate);
        given_ms.iter().map(|time_ms| clock.time(*time_ms).as_millis()).collect()
    }

    #[test]
    fn times_are_those_of_the_reader() {
        assert_eq!(times(25.0, &[0.0, 40.0, 90.0, 1090.0]), [0, 40, 90, 1090]);
        assert_eq!(times(25.0, &[80.0, 120.0, 220.0, 0.0]), [0, 40, 140, 240]);
    }

    #[test]
    fn times_that_the_reader_lacks_go_on_at_the_last_interval() {
        assert_eq!(times(25.0, &[0.0, 40.0, 1040.0, 0.0, 0.0]), [0, 40, 1040, 2040, 3040]);
    }

    #[test]
    fn without_times_the_rate_tells() {
        for none in [0.0, -9.2e16, 9.2e18, f64::NAN, f64::INFINITY] {
            assert_eq!(times(25.0, &[none; 4]), [0, 40, 80, 120], "{none}");
        }
    }

    #[test]
    fn without_times_and_rate_the_times_increase() {
        for rate in [0.0, -1.0, 81_920.0, f64::NAN] {
            assert_eq!(times(rate, &[0.0; 4]), [0, 33, 66, 99], "{rate}");
        }
    }

    #[test]
    fn times_never_decrease() {
        assert_eq!(times(25.0, &[0.0, 80.0, 40.0, 80.0, 120.0]), [0, 80, 80, 80, 120]);
    }
}
