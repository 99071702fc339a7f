//! Counts the images that were lost between a camera and this process, by the gaps in their stamps.

use std::collections::VecDeque;
use std::time::Duration;

/// Gaps by which the camera's period is estimated.
const KEPT_GAPS: usize = 60;

/// Gaps that are needed for an estimate.
const NEEDED_GAPS: usize = 5;

/// So many equal gaps in a row are the camera's new period, not losses.
const STEADY_GAPS: usize = 8;

/// Largest difference between equal gaps, as a fraction of the gap: cameras' stamps jitter.
const JITTER: f64 = 0.25;

/// A gap of more periods is a pause of the camera.
const LONGEST_GAP_PERIODS: f64 = 30.0;

/// Estimates a camera's period, and the images that are missing from it.
///
/// The period is the length of the shorter gaps: where images are lost, the gaps are multiples of it. A camera that loses images in a
/// steady rhythm, for example every second one, looks like a slower one, and no loss is counted.
#[derive(Debug, Default)]
pub struct LossEstimator {
    last: Option<Duration>,
    gaps: VecDeque<f64>,
    /// The last gaps that are equal to each other, and the losses that were counted for them.
    steady: Vec<f64>,
    counted_in_steady: u64,
    lost: u64,
    /// Gaps in which images were lost so far.
    lossy_gaps: u64,
    /// How late the last image was: then the next gap is the shorter for it.
    lateness_secs: f64,
}

impl LossEstimator {
    /// Takes the stamp of the next image. One that is 0 or goes back begins anew.
    pub fn add(&mut self, stamp: Duration) {
        let last = self.last.replace(stamp);
        let gap = last.and_then(|last| stamp.checked_sub(last)).filter(|gap| !gap.is_zero());
        let Some(gap) = gap.filter(|_| !stamp.is_zero()) else {
            return self.begin_anew(stamp);
        };
        let gap = gap.as_secs_f64();
        let missing = self.period_secs().map_or(0, |period| self.missing_images(gap, period));
        self.lost += missing;
        self.lossy_gaps += u64::from(missing > 0);
        self.follow_rhythm(gap, missing);
        if self.gaps.len() == KEPT_GAPS {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// Images that were lost so far.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// In how many gaps they were lost. A single gap may as well be a pause of the camera.
    pub fn lossy_gaps(&self) -> u64 {
        self.lossy_gaps
    }

    /// The camera's period, once it is known.
    pub fn period(&self) -> Option<Duration> {
        self.period_secs().map(Duration::from_secs_f64)
    }

    /// How many images are missing in a gap.
    fn missing_images(&mut self, gap: f64, period: f64) -> u64 {
        let periods = ((gap + self.lateness_secs) / period).round().max(1.0);
        if periods > LONGEST_GAP_PERIODS {
            self.lateness_secs = 0.0;
            return 0;
        }
        // Half of it is forgotten each time: the estimate of the period is not exact.
        self.lateness_secs = (gap + self.lateness_secs - periods * period) / 2.0;
        periods as u64 - 1
    }

    fn begin_anew(&mut self, stamp: Duration) {
        let Self { lost, lossy_gaps, .. } = *self;
        *self = Self { last: (!stamp.is_zero()).then_some(stamp), lost, lossy_gaps, ..Self::default() };
    }

    /// Takes a rhythm that lasts for the camera's period: then nothing was lost in it.
    fn follow_rhythm(&mut self, gap: f64, missing: u64) {
        let is_equal = self.steady.first().is_some_and(|first| (gap - first).abs() <= JITTER * first);
        if !is_equal {
            self.steady.clear();
            self.counted_in_steady = 0;
        }
        self.steady.push(gap);
        self.counted_in_steady += missing;
        if self.steady.len() >= STEADY_GAPS {
            if self.counted_in_steady > 0 {
                self.lost -= self.counted_in_steady;
                self.gaps = self.steady.iter().copied().collect();
            }
            self.steady.clear();
            self.counted_in_steady = 0;
        }
    }

    /// The median of the gaps that are about as long as the tenth shortest of a hundred.
    fn period_secs(&self) -> Option<f64> {
        if self.gaps.len() < NEEDED_GAPS {
            return None;
        }
        let mut sorted: Vec<_> = self.gaps.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let short = sorted[sorted.len() / 10];
        let single: Vec<_> = sorted.into_iter().filter(|gap| (0.5..=1.5).contains(&(gap / short))).collect();
        single.get(single.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses that are counted for images with these numbers, of a camera at 30 Hz with this jitter in milliseconds.
    fn lost(numbers: impl IntoIterator<Item = u64>, jitter_ms: u64) -> u64 {
        estimator(numbers, jitter_ms).lost()
    }

    fn estimator(numbers: impl IntoIterator<Item = u64>, jitter_ms: u64) -> LossEstimator {
        let mut estimator = LossEstimator::default();
        for number in numbers {
            let jitter = number * 7919 % (jitter_ms + 1);
            estimator.add(Duration::from_millis(5_000_000 + number * 100 / 3 + jitter));
        }
        estimator
    }

    /// Whether an image of a series arrives, of which `percent` are lost in no rhythm.
    fn arrives(number: u64, percent: u64) -> bool {
        let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 31)) % 100 >= percent
    }

    #[test]
    fn a_camera_that_loses_nothing_has_no_losses_whatever_its_jitter() {
        for jitter_ms in [0, 3, 10] {
            assert_eq!(lost(0..300, jitter_ms), 0, "{jitter_ms}");
        }
        let period = estimator(0..300, 3).period().unwrap().as_secs_f64();
        assert!((period - 1.0 / 30.0).abs() < 0.002, "{period}");
    }

    #[test]
    fn losses_are_counted_also_where_most_images_are_lost() {
        for percent in [2, 10, 50, 75] {
            let numbers: Vec<u64> = (0..600).filter(|number| arrives(*number, percent)).collect();
            let truth = 1 + numbers[numbers.len() - 1] - numbers[0] - numbers.len() as u64;
            let counted = lost(numbers, 3);
            // The first gaps are needed for the estimate.
            assert!(counted <= truth && counted as f64 >= 0.9 * truth as f64 - 15.0, "{percent}: {counted} of {truth}");
        }
    }

    #[test]
    fn another_period_and_a_pause_are_no_losses() {
        let slower = (0..100).chain((101..300).step_by(2));
        assert_eq!(lost(slower, 2), 0);
        let faster = (0..100).map(|n| 3 * n).chain(301..500);
        assert_eq!(lost(faster, 2), 0);
        assert_eq!(lost((0..100).chain(4000..4100), 2), 0);
    }

    #[test]
    fn stamps_that_are_zero_stand_still_or_go_back_count_for_nothing() {
        let mut estimator = LossEstimator::default();
        for _ in 0..50 {
            estimator.add(Duration::ZERO);
        }
        for _ in 0..50 {
            estimator.add(Duration::from_secs(7));
        }
        for number in (0..50).rev() {
            estimator.add(Duration::from_millis(100 * number));
        }
        assert_eq!((estimator.lost(), estimator.period()), (0, None));
    }
}
