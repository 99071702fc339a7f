//! Says something that lasts again and again, ever more rarely.

use std::time::{Duration, Instant};

/// Time from the first report to the second.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// Longest time between two reports.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Decides when a state that lasts is reported: at once, and then after pauses that double.
#[derive(Debug, Default)]
pub struct Backoff {
    next: Option<(Instant, Duration)>,
}

impl Backoff {
    /// Whether to report at the time `now` that the state lasts.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let pause = match self.next {
            Some((next, _)) if now < next => return false,
            Some((_, pause)) => (2 * pause).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        self.next = Some((now + pause, pause));
        true
    }

    /// The state has ended: the next one is reported at once.
    pub fn reset(&mut self) {
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::default();
        let start = Instant::now();
        let mut due = |secs: std::ops::Range<u64>| -> Vec<u64> {
            secs.filter(|secs| backoff.is_due(start + Duration::from_secs(*secs))).collect()
        };
        assert_eq!(due(0..1300), [0, 10, 30, 70, 150, 310, 610, 910, 1210]);
        backoff.reset();
        assert!(backoff.is_due(start + Duration::from_secs(1300)));
    }
}
