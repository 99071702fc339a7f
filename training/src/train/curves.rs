//! The picture of a training: loss and accuracy by epoch.

use std::ops::Range;
use std::path::Path;
use std::sync::Once;

use anyhow::{anyhow, ensure};
use opencv::core::Mat;
use opencv::imgcodecs::imwrite_def;
use opencv::imgproc::{COLOR_RGB2BGR, cvt_color_def};
use opencv::prelude::*;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;

use super::state::EpochMetrics;

const WIDTH_PX: i32 = 1200;
const HEIGHT_PX: i32 = 520;
const FONT: &str = "sans-serif";
const TITLE_PX: i32 = 26;
const TEXT_PX: i32 = 18;
const TRAINING: RGBColor = RGBColor(217, 119, 6);
const VALIDATION: RGBColor = RGBColor(37, 99, 171);

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Draws the curves into a PNG file.
pub fn plot_learning_curves(epochs: &[EpochMetrics], path: &Path) -> anyhow::Result<()> {
    static FONT_REGISTERED: Once = Once::new();
    FONT_REGISTERED.call_once(|| {
        // Where it fails, drawing text fails, and says so.
        let _ = register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
    let mut rgb = vec![255; (3 * WIDTH_PX * HEIGHT_PX) as usize];
    draw(epochs, &mut rgb).map_err(|error| anyhow!("cannot draw the learning curves: {error}"))?;
    let pixels = Mat::new_rows_cols_with_data(HEIGHT_PX, 3 * WIDTH_PX, &rgb)?;
    let mut bgr = Mat::default();
    cvt_color_def(&pixels.reshape(3, 0)?, &mut bgr, COLOR_RGB2BGR)?;
    ensure!(imwrite_def(path, &bgr)?, "cannot write {}", path.display());
    Ok(())
}

fn draw(epochs: &[EpochMetrics], rgb: &mut [u8]) -> Result<(), String> {
    let root = BitMapBackend::with_buffer(rgb, (WIDTH_PX as u32, HEIGHT_PX as u32)).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    let (left, right) = root.split_horizontally(WIDTH_PX / 2);
    let losses = epochs.iter().map(|it| (it.epoch, it.training_loss, it.validation_loss)).collect::<Vec<_>>();
    let accuracies: Vec<_> =
        epochs.iter().map(|it| (it.epoch, 100.0 * it.training_accuracy, 100.0 * it.validation_accuracy)).collect();
    draw_chart(&left, "loss", &losses)?;
    draw_chart(&right, "accuracy, %", &accuracies)?;
    root.present().map_err(|error| error.to_string())
}

/// Draws two curves: the points are epoch, value in training, value in validation.
fn draw_chart(area: &Area<'_>, title: &str, points: &[(usize, f64, f64)]) -> Result<(), String> {
    let text = |error: DrawingAreaErrorKind<_>| format!("{error}");
    let last_epoch = points.iter().map(|point| point.0).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, TITLE_PX))
        .margin(15)
        .x_label_area_size(50)
        .y_label_area_size(60)
        .build_cartesian_2d(0.5..last_epoch as f64 + 0.5, value_range(points))
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc("epoch")
        .x_label_formatter(&|epoch| format!("{epoch:.0}"))
        .x_labels(last_epoch.clamp(2, 10))
        .label_style((FONT, TEXT_PX))
        .light_line_style(WHITE)
        .draw()
        .map_err(text)?;
    let curves = [("training (augmented)", TRAINING), ("validation", VALIDATION)];
    for (position, (name, color)) in curves.into_iter().enumerate() {
        let curve = points.iter().map(|point| (point.0 as f64, if position == 0 { point.1 } else { point.2 }));
        let curve: Vec<_> = curve.collect();
        chart.draw_series(curve.iter().map(|point| Circle::new(*point, 3, color.filled()))).map_err(text)?;
        chart
            .draw_series(LineSeries::new(curve, color.stroke_width(2)))
            .map_err(text)?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    let labels = chart.configure_series_labels().label_font((FONT, TEXT_PX)).background_style(WHITE).draw();
    labels.map_err(text)
}

/// A range that holds all values, with some room.
fn value_range(points: &[(usize, f64, f64)]) -> Range<f64> {
    let values = || points.iter().flat_map(|point| [point.1, point.2]);
    let (least, largest) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let room = (0.05 * (largest - least)).max(1e-3);
    if least.is_finite() && largest.is_finite() { least - room..largest + room } else { 0.0..1.0 }
}
