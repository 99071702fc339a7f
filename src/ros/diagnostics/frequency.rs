//! How often images come, as the task FrequencyStatus of diagnostic_updater reports it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::status::{Level, Status};

/// Updates over which the frequency is measured: diagnostic_updater's default.
const WINDOW: usize = 5;

/// Fraction by which the frequency may be off: diagnostic_updater's default.
const TOLERANCE: f64 = 0.1;

/// Measures a frequency from update to update.
#[derive(Debug, Default)]
pub struct Frequency {
    /// The time and the count of the last updates.
    counts: VecDeque<(Instant, u64)>,
}

impl Frequency {
    /// Begins anew at a count of events: nothing is expected of the time before.
    pub fn begin(&mut self, events: u64, now: Instant) {
        self.counts = [(now, events)].into();
    }

    /// The report, given the count of all events so far and the period in which they should come, if it is known.
    pub fn update(&mut self, events: u64, period: Option<Duration>, now: Instant) -> Status {
        let (since, before) = *self.counts.front().unwrap_or(&(now, events));
        if self.counts.len() == WINDOW {
            self.counts.pop_front();
        }
        self.counts.push_back((now, events));
        let window_secs = now.duration_since(since).as_secs_f64();
        let in_window = events.saturating_sub(before);
        let frequency = if window_secs > 0.0 { in_window as f64 / window_secs } else { 0.0 };
        let target = period.filter(|period| !period.is_zero()).map(|period| 1.0 / period.as_secs_f64());
        let (level, message) = match target {
            _ if in_window == 0 => (Level::Error, "No events recorded."),
            Some(target) if frequency < target * (1.0 - TOLERANCE) => (Level::Warn, "Frequency too low."),
            Some(target) if frequency > target * (1.0 + TOLERANCE) => (Level::Warn, "Frequency too high."),
            _ => (Level::Ok, "Desired frequency met"),
        };
        let mut status = Status::new(level, message);
        status.add("Events in window", in_window);
        status.add("Events since startup", events);
        status.add_number("Duration of window (s)", window_secs);
        status.add_number("Actual frequency (Hz)", frequency);
        if let Some(target) = target {
            status.add_number("Target frequency (Hz)", target);
            status.add_number("Minimum acceptable frequency (Hz)", target * (1.0 - TOLERANCE));
            status.add_number("Maximum acceptable frequency (Hz)", target * (1.0 + TOLERANCE));
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Option<Duration> = Some(Duration::from_millis(40));

    /// The last of the reports at these counts, one per second.
    fn report(counts: &[u64], period: Option<Duration>) -> Status {
        let mut frequency = Frequency::default();
        let start = Instant::now();
        frequency.begin(counts[0], start);
        let reports =
            (1..counts.len()).map(|n| frequency.update(counts[n], period, start + Duration::from_secs(n as u64)));
        reports.last().unwrap()
    }

    #[test]
    fn the_frequency_is_that_of_the_last_five_updates() {
        let status = report(&[900, 901, 926, 951, 976, 1001, 1026], PERIOD);
        assert_eq!((status.level, &*status.message), (Level::Ok, "Desired frequency met"));
        let expected = [
            ("Events in window", "125"),
            ("Events since startup", "1026"),
            ("Duration of window (s)", "5.000000"),
            ("Actual frequency (Hz)", "25.000000"),
            ("Target frequency (Hz)", "25.000000"),
            ("Minimum acceptable frequency (Hz)", "22.500000"),
            ("Maximum acceptable frequency (Hz)", "27.500000"),
        ];
        assert_eq!(status.values, expected.map(|(key, value)| (key, value.to_owned())));
    }

    #[test]
    fn too_few_too_many_and_none_are_reported() {
        for (counts, period, level, message) in [
            (&[0, 20, 40][..], PERIOD, Level::Warn, "Frequency too low."),
            (&[0, 30, 60], PERIOD, Level::Warn, "Frequency too high."),
            (&[7, 7, 7], PERIOD, Level::Error, "No events recorded."),
            (&[0, 3, 6], None, Level::Ok, "Desired frequency met"),
        ] {
            let status = report(counts, period);
            assert_eq!((status.level, &*status.message), (level, message));
        }
    }
}
