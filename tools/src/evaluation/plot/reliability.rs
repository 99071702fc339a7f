//! Accuracy over confidence.

use std::path::Path;

use plotters::prelude::*;

use super::{Area, DrawResult, INK, PlotError, SMALL_TEXT_PX, TEXT_PX, plot, style, write};
use crate::evaluation::calibration::{BINS, Bin, Calibration};

const WIDTH_PX: i32 = 560;
const HEIGHT_PX: i32 = 640;
const TITLE_HEIGHT_PX: i32 = 50;
/// The fraction of the height for the lower chart, which shows the number of answers.
const COUNTS_HEIGHT_PX: i32 = 150;
const MARGIN_PX: i32 = 15;
/// Half of the last label is to the right of the chart.
const RIGHT_PX: i32 = 35;
const LEFT_PX: i32 = 70;
const BOTTOM_PX: i32 = 50;

const BAR: RGBColor = RGBColor(66, 133, 190);
const GRID: RGBColor = RGBColor(225, 229, 235);
const DIAGONAL: RGBColor = RGBColor(190, 50, 40);

/// Draws the reliability of a network (after Guo et al. 2017) into an image file. The ending decides the format.
///
/// The upper chart has a bar for each bin of confidence, as high as the accuracy of its answers. On the diagonal, confidence
/// equals accuracy. The lower chart shows the share of the answers in each bin.
///
/// # Errors
/// [`PlotError`] names the file where it cannot be written.
pub fn plot_reliability(task: &str, calibration: &Calibration, path: &Path) -> Result<(), PlotError> {
    plot(path, WIDTH_PX, HEIGHT_PX, |root| {
        let error = calibration.expected_error.map_or("none".to_owned(), |error| format!("{:.1}%", 100.0 * error));
        let title = format!("{task}: expected calibration error {error}");
        write(root, &title, (WIDTH_PX / 2, TITLE_HEIGHT_PX / 2), TEXT_PX, INK)?;
        let (_, charts) = root.split_vertically(TITLE_HEIGHT_PX);
        let (accuracy, share) = charts.split_vertically(HEIGHT_PX - TITLE_HEIGHT_PX - COUNTS_HEIGHT_PX);
        draw_bars(&accuracy, "", "accuracy", 1.0, &calibration.bins, |bin| bin.accuracy)?;
        let total: u64 = calibration.bins.iter().map(|bin| bin.count).sum();
        let share_of = |bin: &Bin| (bin.count > 0).then(|| bin.count as f64 / total as f64);
        let largest = calibration.bins.iter().filter_map(share_of).fold(0.1, f64::max);
        draw_bars(&share, "confidence", "share", largest, &calibration.bins, share_of)
    })
}

fn draw_bars<'a>(
    area: &Area<'a>,
    x_title: &str,
    y_title: &str,
    y_end: f64,
    bins: &[Bin],
    height: impl Fn(&Bin) -> Option<f64>,
) -> DrawResult<'a> {
    let mut chart = ChartBuilder::on(area)
        .margin(MARGIN_PX)
        .margin_top(0)
        .margin_right(RIGHT_PX)
        .x_label_area_size(if x_title.is_empty() { BOTTOM_PX / 2 } else { BOTTOM_PX })
        .y_label_area_size(LEFT_PX)
        .build_cartesian_2d(0.0..1.0, 0.0..y_end)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_desc(x_title)
        .y_desc(y_title)
        .x_labels(6)
        .y_labels(if y_end < 1.0 { 3 } else { 6 })
        .x_label_formatter(&percent)
        .y_label_formatter(&percent)
        .label_style(style(SMALL_TEXT_PX, INK))
        .axis_desc_style(style(SMALL_TEXT_PX, INK))
        .draw()?;
    let edge = |bin: usize| bin as f64 / BINS as f64;
    let bars = bins.iter().enumerate().filter_map(|(bin, of_bin)| Some((bin, height(of_bin)?)));
    chart.draw_series(bars.map(|(bin, height)| {
        let mut bar = Rectangle::new([(edge(bin), 0.0), (edge(bin + 1), height)], BAR.filled());
        bar.set_margin(0, 0, 1, 1);
        bar
    }))?;
    if x_title.is_empty() {
        chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 1.0)], DIAGONAL.stroke_width(2))])?;
    }
    Ok(())
}

fn percent(fraction: &f64) -> String {
    format!("{:.0}%", 100.0 * fraction)
}

#[cfg(test)]
mod tests {
    use opencv::core::Vec3b;
    use opencv::prelude::*;

    use super::*;
    use crate::source::read_bgr;

    /// Rows of the picture whose pixel in this column is the colour of bars, from the top.
    fn bar_rows(calibration: &Calibration, column: i32) -> Vec<i32> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        plot_reliability("emotion", calibration, &path).unwrap();
        let picture = read_bgr(&path).unwrap();
        assert_eq!((picture.cols(), picture.rows()), (WIDTH_PX, HEIGHT_PX));
        let is_bar = |row: &i32| *picture.at_2d::<Vec3b>(*row, column).unwrap() == [BAR.2, BAR.1, BAR.0].into();
        (0..HEIGHT_PX).filter(is_bar).collect()
    }

    fn calibration(bin: usize, accuracy: f64) -> Calibration {
        let mut bins = vec![Bin { count: 0, confidence: None, accuracy: None }; BINS];
        bins[bin] = Bin { count: 9, confidence: Some(bin as f64 / BINS as f64), accuracy: Some(accuracy) };
        Calibration { expected_error: Some(0.2), negative_log_likelihood: None, bins }
    }

    #[test]
    fn a_bar_is_as_high_as_its_accuracy() {
        // The middle of bin 3, in a chart between the labels and the margins.
        let chart_width = WIDTH_PX - LEFT_PX - MARGIN_PX - RIGHT_PX;
        let column = MARGIN_PX + LEFT_PX + (3.5 / 15.0 * f64::from(chart_width)) as i32;
        let counts_top = HEIGHT_PX - COUNTS_HEIGHT_PX;
        let height = |accuracy: f64| {
            let rows = bar_rows(&calibration(3, accuracy), column);
            rows.into_iter().filter(|row| *row < counts_top).count() as f64
        };
        let (half, whole) = (height(0.5), height(1.0));
        assert!(whole > 300.0 && (half / whole - 0.5).abs() < 0.02, "{half} of {whole}");
        assert!(bar_rows(&calibration(9, 0.5), column).is_empty());
    }

    #[test]
    fn without_answers_there_are_no_bars() {
        let bins = vec![Bin { count: 0, confidence: None, accuracy: None }; BINS];
        let none = Calibration { expected_error: None, negative_log_likelihood: None, bins };
        assert!(bar_rows(&none, WIDTH_PX / 2).is_empty());
    }
}
