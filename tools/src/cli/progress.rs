//! Progress on stderr, where that is a terminal, and notes on what is left out.

use face_attributes_tools::source::LeftOut;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar of length 0 that counts `units`; lengthen it as work turns up.
pub fn progress_bar(units: &str) -> ProgressBar {
    let template = format!("{{bar:40}} {{pos}}/{{len}} {units}, {{per_sec}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}

/// Makes up for a number of steps that was a guess: `guess` were counted in, `made` have been made.
pub fn correct_length(progress: &ProgressBar, guess: u64, made: u64) {
    progress.inc_length(made.saturating_sub(guess));
    progress.dec_length(guess.saturating_sub(made));
}

/// Says what is left out.
pub fn print_left_out(progress: &ProgressBar, left_out: &[LeftOut]) {
    for left_out in left_out.iter().filter(|left_out| left_out.count > 0) {
        progress.suspend(|| eprintln!("left out: {left_out}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_fits_after_a_wrong_guess() {
        for (guess, made) in [(100, 20), (20, 100), (1, 1)] {
            let progress = ProgressBar::hidden();
            // Two files are before, and one is still to come.
            progress.set_length(3);
            progress.set_position(2);
            progress.inc_length(guess - 1);
            progress.inc(made);
            correct_length(&progress, guess, made);
            assert_eq!((progress.position(), progress.length()), (2 + made, Some(2 + made)), "{guess} {made}");
        }
    }
}
