//! The confusion matrix as a plot.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Area, DrawResult, INK, PlotError, SMALL_TEXT_PX, TEXT_PX, TITLE_PX, plot, style, write};
use crate::evaluation::metrics::ConfusionMatrix;
use face_attributes::attributes::Attribute;

/// Side of the matrix, unless the text of the cells needs more.
const MATRIX_PX: i32 = 700;
const CELL_PX: [i32; 2] = [90, 190];
const LEFT_PX: i32 = 150;
const TOP_PX: i32 = 100;
const RIGHT_PX: i32 = 40;
const BOTTOM_PX: i32 = 95;
const GRID_PX: i32 = 1;

const EMPTY: RGBColor = RGBColor(247, 251, 255);
const FULL: RGBColor = RGBColor(8, 69, 148);
/// The share from which white text is more readable than dark text.
const WHITE_INK_SHARE: f64 = 0.65;

/// Draws a confusion matrix into an image file. The ending decides the format, for example `.png`.
///
/// The colour is the share of the row's examples, so that rare classes are as readable as frequent ones. Each cell contains
/// this share and the number of examples.
///
/// # Errors
/// [`PlotError`] names the file where it cannot be written.
pub fn plot_confusion_matrix<A: Attribute>(matrix: &ConfusionMatrix<A>, path: &Path) -> Result<(), PlotError> {
    let cell = (MATRIX_PX / A::CLASSES.len().max(1) as i32).clamp(CELL_PX[0], CELL_PX[1]);
    let side = cell * A::CLASSES.len() as i32;
    let [width, height] = [LEFT_PX + side + RIGHT_PX, TOP_PX + side + BOTTOM_PX];
    plot(path, width, height, |root| draw_matrix(root, matrix, cell))
}

fn draw_matrix<'a, A: Attribute>(root: &Area<'a>, matrix: &ConfusionMatrix<A>, cell: i32) -> DrawResult<'a> {
    let side = cell * A::CLASSES.len() as i32;
    let middle = LEFT_PX + side / 2;
    let percent = |fraction: Option<f64>| fraction.map_or("none".to_owned(), |f| format!("{:.1}%", 100.0 * f));
    let title = format!("{}: {} of {} right", A::TASK, percent(matrix.accuracy()), matrix.count());
    write(root, &title, (middle, 35), TITLE_PX, INK)?;
    let subtitle = format!("balanced accuracy {}", percent(matrix.balanced_accuracy()));
    write(root, &subtitle, (middle, 70), TEXT_PX, INK)?;

    for (row, (truth, examples)) in (0..).zip(A::CLASSES.iter().zip(matrix.rows())) {
        let y = TOP_PX + row * cell;
        let label = style(TEXT_PX, INK).pos(Pos::new(HPos::Right, VPos::Center));
        root.draw(&Text::new(truth.name(), (LEFT_PX - 12, y + cell / 2), label))?;
        let of_truth: u64 = examples.iter().sum();
        for (column, count) in (0..).zip(examples) {
            let share = (of_truth > 0).then(|| *count as f64 / of_truth as f64);
            draw_cell(root, (LEFT_PX + column * cell, y), cell, share, *count)?;
        }
    }
    for (column, answer) in (0..).zip(A::CLASSES) {
        write(root, answer.name(), (LEFT_PX + column * cell + cell / 2, TOP_PX + side + 22), TEXT_PX, INK)?;
    }
    write(root, "answer", (middle, TOP_PX + side + 65), TEXT_PX, INK)?;
    let upwards = style(TEXT_PX, INK).transform(FontTransform::Rotate270).pos(Pos::new(HPos::Center, VPos::Center));
    root.draw(&Text::new("truth", (28, TOP_PX + side / 2), upwards))
}

fn draw_cell<'a>(root: &Area<'a>, (x, y): (i32, i32), cell: i32, share: Option<f64>, examples: u64) -> DrawResult<'a> {
    let ground = mix(EMPTY, FULL, share.unwrap_or(0.0));
    let corners = [(x, y), (x + cell - GRID_PX, y + cell - GRID_PX)];
    root.draw(&Rectangle::new(corners, ground.filled()))?;
    let ink = if share.unwrap_or(0.0) > WHITE_INK_SHARE { WHITE } else { INK };
    let (x, y) = (x + cell / 2, y + cell / 2);
    if let Some(share) = share {
        write(root, &format!("{:.0}%", 100.0 * share), (x, y - 13), TEXT_PX, ink)?;
    }
    write(root, &examples.to_string(), (x, y + 13), SMALL_TEXT_PX, ink)
}

fn mix(from: RGBColor, to: RGBColor, share: f64) -> RGBColor {
    let channel = |from: u8, to: u8| (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(channel(from.0, to.0), channel(from.1, to.1), channel(from.2, to.2))
}
