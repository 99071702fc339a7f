//! A progress bar on stderr, shown where that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of length 0 that counts `units`; lengthen it as work turns up.
pub fn progress_bar(units: &str) -> ProgressBar {
    let template = format!("{{bar:40}} {{pos}}/{{len}} {units}, {{per_sec}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style)
}
