//! Progress of a loop over images: a bar on a terminal, and elsewhere a line on stderr from time to time.

use std::io::{Write, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{FormattedDuration, ProgressBar, ProgressStyle};

/// Frequency of progress lines. Part of the arguments of each subcommand with a long running time.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct ProgressOptions {
    /// Smallest number of seconds between two progress lines, where stderr is not a terminal.
    #[arg(long, value_name = "SECS", default_value_t = Self::default().progress_secs)]
    progress_secs: u64,
}

impl Default for ProgressOptions {
    fn default() -> Self {
        Self { progress_secs: 10 }
    }
}

/// The progress of a loop over images. Threads can share it.
pub struct Progress {
    bar: ProgressBar,
    /// Decides when a line is due; `None` where the bar is visible.
    pace: Option<Mutex<Pace>>,
}

impl Progress {
    /// Starts `task` on `count` images.
    pub fn start(task: impl Into<String>, count: usize, options: ProgressOptions) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {prefix}: {pos}/{len} images, {eta} left{msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(count as u64).with_style(style).with_prefix(task.into());
        let pace = || Mutex::new(Pace::new(Instant::now(), Duration::from_secs(options.progress_secs)));
        let pace = bar.is_hidden().then(pace);
        Self { bar, pace }
    }

    /// Adds `count` to the images that are done.
    pub fn advance(&self, count: usize) {
        self.bar.inc(count as u64);
        let Some(pace) = &self.pace else { return };
        let mut pace = pace.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
        if let Some(share) = pace.line(Instant::now(), done, total) {
            // A log that cannot be written must not end a training.
            let _ = writeln!(stderr(), "{}: {share}{}", self.bar.prefix(), self.bar.message());
        }
    }

    /// Sets the figures that are shown with the progress from now on.
    pub fn set_figures(&self, figures: &str) {
        self.bar.set_message(format!(", {figures}"));
    }

    /// Writes a line to stderr, above the bar where there is one.
    pub fn warn(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Decides when a line is due, and estimates the time left. The current time is an argument.
struct Pace {
    start: Instant,
    last_line: Instant,
    interval: Duration,
}

impl Pace {
    /// A loop that starts `now`, with at least `interval` between two lines.
    fn new(now: Instant, interval: Duration) -> Self {
        Self { start: now, last_line: now, interval }
    }

    /// The share that is done and the time left, where a line is due `now`. The estimate assumes a constant speed.
    fn line(&mut self, now: Instant, done: u64, total: u64) -> Option<String> {
        if done == 0 || now.saturating_duration_since(self.last_line) < self.interval {
            return None;
        }
        self.last_line = now;
        let elapsed = now.saturating_duration_since(self.start);
        let left = elapsed.mul_f64(total.saturating_sub(done) as f64 / done as f64);
        let percent = 100 * done / total.max(1);
        Some(format!("{percent} % of {total} images, {} left", FormattedDuration(left)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    /// The lines of a loop over 300 images, for the seconds since its start and the number of images that are done.
    fn lines(progress: &[(f64, u64)]) -> Vec<Option<String>> {
        let start = Instant::now();
        let mut pace = Pace::new(start, INTERVAL);
        progress.iter().map(|(secs, done)| pace.line(start + Duration::from_secs_f64(*secs), *done, 300)).collect()
    }

    #[test]
    fn a_line_is_due_when_the_interval_has_passed_since_the_one_before() {
        let due = |progress: &[(f64, u64)]| lines(progress).iter().map(Option::is_some).collect::<Vec<_>>();
        assert_eq!(due(&[(0.0, 1), (9.9, 2), (10.0, 3), (10.1, 4), (19.9, 5)]), [false, false, true, false, false]);
        // The interval counts from the last line, not from the last one that was expected.
        assert_eq!(due(&[(14.0, 1), (20.0, 2), (24.0, 3)]), [true, false, true]);
        assert_eq!(due(&[(30.0, 0), (31.0, 1)]), [false, true]);
    }

    #[test]
    fn a_line_tells_the_share_and_the_time_left() {
        let line = |secs, done| lines(&[(secs, done)]).remove(0).unwrap();
        assert_eq!(line(25.0, 100), "33 % of 300 images, 00:00:50 left");
        assert_eq!(line(3600.0, 75), "25 % of 300 images, 03:00:00 left");
        assert_eq!(line(60.0, 299), "99 % of 300 images, 00:00:00 left");
        assert_eq!(line(60.0, 300), "100 % of 300 images, 00:00:00 left");
    }

    // The clock of a machine that is suspended or virtual may stand still.
    #[test]
    fn a_clock_that_stands_still_or_goes_back_does_no_harm() {
        let start = Instant::now();
        let mut pace = Pace::new(start + INTERVAL, Duration::ZERO);
        assert_eq!(pace.line(start, 1, 2).unwrap(), "50 % of 2 images, 00:00:00 left");
    }
}
