//! Limits the rate of work.

use std::time::{Duration, Instant};

/// Decides when work is due.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// Whether work is due at the time `now`, at most `rate` times per second. If so, work is next due one period
    /// later.
    pub fn is_due(&mut self, rate: f64, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= Duration::from_secs_f64(1.0 / rate));
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_due_at_the_rate() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let due: Vec<_> = (0..30).filter(|n| pace.is_due(10.0, start + Duration::from_millis(33 * n))).collect();
        assert_eq!(due, [0, 4, 8, 12, 16, 20, 24, 28]);
    }
}
