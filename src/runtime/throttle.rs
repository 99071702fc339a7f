//! Limits log messages about faults that occur in every frame.

use std::collections::HashSet;
use std::time::{Duration, Instant};

/// Shortest time between two reports of known faults.
const PERIOD: Duration = Duration::from_secs(5);

/// Number of new faults that are reported at once. Without a limit, faults that differ only in a number would flood the
/// log.
const MAX_KNOWN_FAULTS: usize = 16;

/// Counts faults and decides which of them to report: new ones at once, known ones every few seconds.
#[derive(Debug, Default)]
pub struct Throttle {
    known: HashSet<String>,
    last_report: Option<Instant>,
    count: u64,
}

impl Throttle {
    /// Counts a fault at the time `now`. Returns the number of faults so far if the fault is to be reported.
    pub fn count(&mut self, fault: &str, now: Instant) -> Option<u64> {
        self.count += 1;
        let is_new = self.known.len() < MAX_KNOWN_FAULTS && self.known.insert(fault.to_owned());
        let is_due = self.last_report.is_none_or(|last| now.duration_since(last) >= PERIOD);
        (is_new || is_due).then(|| {
            self.last_report = Some(now);
            self.count
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_fault_is_reported_at_once_and_a_known_one_now_and_then() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        assert_eq!(throttle.count("truncated", start), Some(1));
        assert_eq!(throttle.count("truncated", start), None);
        assert_eq!(throttle.count("encoding", start), Some(3));
        assert_eq!(throttle.count("truncated", start + PERIOD), Some(4));
    }

    #[test]
    fn ever_new_faults_do_not_flood_the_log() {
        let mut throttle = Throttle::default();
        let start = Instant::now();
        let reports = (0..1000).filter(|n| throttle.count(&n.to_string(), start).is_some()).count();
        assert_eq!(reports, MAX_KNOWN_FAULTS);
    }
}
