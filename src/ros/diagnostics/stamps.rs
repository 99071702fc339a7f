//! Whether images are stamped with the time at which they come, as the task TimeStampStatus of diagnostic_updater reports it.

use super::status::{Level, Status};

/// Acceptable delays in seconds: diagnostic_updater's defaults. A negative delay is a stamp in the future.
const EARLIEST_SECS: f64 = -1.0;
const LATEST_SECS: f64 = 5.0;

/// Watches the stamps from update to update.
#[derive(Debug, Default)]
pub struct Stamps {
    /// The smallest and the largest delay since the last update.
    delays: Option<(f64, f64)>,
    is_zero_seen: bool,
    late_updates: u64,
    early_updates: u64,
    zero_updates: u64,
}

impl Stamps {
    /// Takes an image. `delay_secs` is the time between its stamp and its arrival; `None` where it has no stamp.
    pub fn add(&mut self, delay_secs: Option<f64>) {
        let Some(delay) = delay_secs else {
            self.is_zero_seen = true;
            return;
        };
        let (earliest, latest) = self.delays.unwrap_or((delay, delay));
        self.delays = Some((earliest.min(delay), latest.max(delay)));
    }

    /// The report on the images since the last one.
    pub fn update(&mut self) -> Status {
        let (earliest, latest) = self.delays.unwrap_or_default();
        let is_early = earliest < EARLIEST_SECS;
        let is_late = latest > LATEST_SECS;
        let (level, message) = if self.is_zero_seen {
            (Level::Error, "Zero timestamp seen.")
        } else if self.delays.is_none() {
            (Level::Warn, "No data since last update.")
        } else if is_late {
            (Level::Error, "Timestamps too far in past seen.")
        } else if is_early {
            (Level::Error, "Timestamps too far in future seen.")
        } else {
            (Level::Ok, "Timestamps are reasonable.")
        };
        self.early_updates += u64::from(is_early);
        self.late_updates += u64::from(is_late);
        self.zero_updates += u64::from(self.is_zero_seen);
        let mut status = Status::new(level, message);
        status.add_number("Earliest timestamp delay:", earliest);
        status.add_number("Latest timestamp delay:", latest);
        status.add_number("Earliest acceptable timestamp delay:", EARLIEST_SECS);
        status.add_number("Latest acceptable timestamp delay:", LATEST_SECS);
        status.add("Late diagnostic update count:", self.late_updates);
        status.add("Early diagnostic update count:", self.early_updates);
        status.add("Zero seen diagnostic update count:", self.zero_updates);
        self.delays = None;
        self.is_zero_seen = false;
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_update_is_about_the_images_since_the_last_one() {
        let mut stamps = Stamps::default();
        let mut report = |delays: &[Option<f64>]| {
            delays.iter().for_each(|delay| stamps.add(*delay));
            let status = stamps.update();
            (status.level, status.message, status.values)
        };
        let (level, message, values) = report(&[Some(0.04), Some(0.25), Some(0.1)]);
        assert_eq!((level, &*message), (Level::Ok, "Timestamps are reasonable."));
        assert_eq!(values[0], ("Earliest timestamp delay:", "0.040000".to_owned()));
        assert_eq!(values[1], ("Latest timestamp delay:", "0.250000".to_owned()));
        for (delays, level, message) in [
            (&[][..], Level::Warn, "No data since last update."),
            (&[Some(0.1), Some(7.5)], Level::Error, "Timestamps too far in past seen."),
            (&[Some(-3.0), Some(0.1)], Level::Error, "Timestamps too far in future seen."),
            (&[None], Level::Error, "Zero timestamp seen."),
            (&[Some(4.9), Some(-0.9)], Level::Ok, "Timestamps are reasonable."),
        ] {
            let (got_level, got_message, _) = report(delays);
            assert_eq!((got_level, &*got_message), (level, message));
        }
        let (.., values) = report(&[]);
        let counts: Vec<_> = values[4..].iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(counts, ["1", "1", "1"]);
    }
}
