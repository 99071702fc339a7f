//! The durations of recent work.

use std::collections::VecDeque;
use std::time::Duration;

/// The last durations, for their percentiles.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    durations: VecDeque<Duration>,
}

impl Recent {
    /// How many durations are kept: at 30 frames per second, those of ten seconds.
    const KEPT: usize = 300;

    /// Adds the newest duration.
    pub fn add(&mut self, duration: Duration) {
        if self.durations.len() == Self::KEPT {
            self.durations.pop_front();
        }
        self.durations.push_back(duration);
    }

    /// The shortest duration that a `share` (0 to 1) of the kept ones does not exceed; `None` where there is none.
    pub fn percentile(&self, share: f64) -> Option<Duration> {
        let mut sorted: Vec<_> = self.durations.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_last_durations() {
        let mut recent = Recent::default();
        assert_eq!(recent.percentile(0.5), None);
        recent.add(Duration::from_secs(900));
        assert_eq!(recent.percentile(0.5), Some(Duration::from_secs(900)));
        for ms in (1..=300).rev() {
            recent.add(Duration::from_millis(ms));
        }
        let percentiles = [0.0, 0.5, 0.99, 1.0].map(|share| recent.percentile(share).unwrap().as_millis());
        assert_eq!(percentiles, [1, 150, 297, 300]);
    }
}
