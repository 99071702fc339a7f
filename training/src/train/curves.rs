//! Learning curves: loss and accuracy by epoch.

use std::ops::Range;
use std::path::Path;

use face_attributes_tools::evaluation::plot::{Area, DrawResult, INK, PlotError, plot, style};
use plotters::prelude::*;

use super::state::EpochMetrics;

const WIDTH_PX: i32 = 1200;
const HEIGHT_PX: i32 = 520;
const TITLE_PX: i32 = 26;
const TEXT_PX: i32 = 18;
const TRAINING: RGBColor = RGBColor(217, 119, 6);
const VALIDATION: RGBColor = RGBColor(37, 99, 171);

/// Draws the curves into a PNG file.
pub fn plot_learning_curves(epochs: &[EpochMetrics], path: &Path) -> Result<(), PlotError> {
    let losses: Vec<_> = epochs.iter().map(|it| (it.epoch, it.training_loss, it.validation_loss)).collect();
    let accuracies: Vec<_> =
        epochs.iter().map(|it| (it.epoch, 100.0 * it.training_accuracy, 100.0 * it.validation_accuracy)).collect();
    plot(path, WIDTH_PX, HEIGHT_PX, |root| {
        let (left, right) = root.split_horizontally(WIDTH_PX / 2);
        draw_chart(&left, "loss", &losses)?;
        draw_chart(&right, "accuracy, %", &accuracies)
    })
}

/// Draws two curves: the points are epoch, value in training, value in validation.
fn draw_chart<'a>(area: &Area<'a>, title: &str, points: &[(usize, f64, f64)]) -> DrawResult<'a> {
    let last_epoch = points.iter().map(|point| point.0).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, style(TITLE_PX, INK))
        .margin(15)
        .x_label_area_size(50)
        .y_label_area_size(60)
        .build_cartesian_2d(0.5..last_epoch as f64 + 0.5, value_range(points))?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .x_labels(last_epoch.clamp(2, 10))
        .label_style(style(TEXT_PX, INK))
        .light_line_style(WHITE)
        .draw()?;
    let curves = [("training (augmented)", TRAINING), ("validation", VALIDATION)];
    for (position, (name, color)) in curves.into_iter().enumerate() {
        let curve = points.iter().map(|point| (point.0 as f64, if position == 0 { point.1 } else { point.2 }));
        let curve: Vec<_> = curve.collect();
        chart.draw_series(curve.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        chart
            .draw_series(LineSeries::new(curve, color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().label_font(style(TEXT_PX, INK)).background_style(WHITE).draw()
}

/// A range that contains all values, with some space around them.
fn value_range(points: &[(usize, f64, f64)]) -> Range<f64> {
    let values = || points.iter().flat_map(|point| [point.1, point.2]);
    let (least, largest) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let room = (0.05 * (largest - least)).max(1e-3);
    if least.is_finite() && largest.is_finite() { least - room..largest + room } else { 0.0..1.0 }
}

#[cfg(test)]
mod tests {
    use face_attributes_tools::source::read_bgr;
    use opencv::core::Vec3b;
    use opencv::prelude::*;

    use super::*;

    // Two equal epochs give horizontal curves, so their heights identify them.
    #[test]
    fn the_curves_are_what_they_are_called() {
        let metrics = |epoch| EpochMetrics {
            epoch,
            learning_rate: 0.1,
            training_loss: 2.0,
            training_accuracy: 0.9,
            validation_loss: 1.0,
            validation_accuracy: 0.4,
            seconds: 1.0,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curves.png");
        plot_learning_curves(&[metrics(1), metrics(2)], &path).unwrap();
        let picture = read_bgr(&path).unwrap();
        let height_of = |color: RGBColor, column: i32| {
            let is_color = |row: &i32| {
                let pixel = picture.at_2d::<Vec3b>(*row, column).unwrap();
                *pixel == [color.2, color.1, color.0].into()
            };
            HEIGHT_PX - (0..HEIGHT_PX).find(is_color).unwrap()
        };
        // Near the middle of each chart, without a grid line, point or legend.
        let [loss, accuracy] = [WIDTH_PX / 4 + 40, 3 * WIDTH_PX / 4 + 40];
        assert!(height_of(TRAINING, loss) > height_of(VALIDATION, loss));
        assert!(height_of(TRAINING, accuracy) > height_of(VALIDATION, accuracy));
    }
}
