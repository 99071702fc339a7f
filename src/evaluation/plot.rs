//! Pictures of figures.

use std::path::{Path, PathBuf};
use std::sync::Once;

use opencv::core::{CV_8UC3, Mat};
use opencv::imgcodecs::imwrite_def;
use opencv::imgproc::{COLOR_RGB2BGR, cvt_color_def};
use opencv::prelude::*;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::attributes::Attribute;
use crate::evaluation::metrics::ConfusionMatrix;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum PlotError {
    #[error("cannot draw a plot: {0}")]
    Drawing(String),
    #[error("cannot write the plot {}: {reason}", path.display())]
    Unwritable { path: PathBuf, reason: String },
}

const FONT: &str = "sans-serif";
const TITLE_PX: i32 = 30;
const TEXT_PX: i32 = 22;
const SMALL_TEXT_PX: i32 = 18;

/// Side of the matrix, as far as its cells keep a size that their text fits in.
const MATRIX_PX: i32 = 700;
const CELL_PX: [i32; 2] = [90, 190];
const LEFT_PX: i32 = 150;
const TOP_PX: i32 = 100;
const RIGHT_PX: i32 = 40;
const BOTTOM_PX: i32 = 95;
const GRID_PX: i32 = 1;

const EMPTY: RGBColor = RGBColor(247, 251, 255);
const FULL: RGBColor = RGBColor(8, 69, 148);
/// The share from which white stands out better than ink.
const WHITE_INK_SHARE: f64 = 0.65;
const INK: RGBColor = RGBColor(35, 40, 50);

/// Draws a confusion matrix into an image file, whose format is that of its ending, `.png` for example.
///
/// Each row is coloured by how its examples are distributed, so that rare classes are as readable as frequent ones, and
/// each cell holds that share and the number of examples.
///
/// # Errors
/// [`PlotError`] names the file where it cannot be written.
pub fn plot_confusion_matrix<A: Attribute>(matrix: &ConfusionMatrix<A>, path: &Path) -> Result<(), PlotError> {
    let cell = (MATRIX_PX / A::CLASSES.len().max(1) as i32).clamp(CELL_PX[0], CELL_PX[1]);
    let side = cell * A::CLASSES.len() as i32;
    let [width, height] = [LEFT_PX + side + RIGHT_PX, TOP_PX + side + BOTTOM_PX];
    let mut rgb = vec![255; (3 * width * height) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut rgb, (width as u32, height as u32)).into_drawing_area();
        draw_matrix(&root, matrix, cell).map_err(|error| PlotError::Drawing(error.to_string()))?;
    }
    write_rgb(&rgb, width, height, path)
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type DrawResult<'a> = Result<(), DrawingAreaErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw_matrix<'a, A: Attribute>(root: &Area<'a>, matrix: &ConfusionMatrix<A>, cell: i32) -> DrawResult<'a> {
    root.fill(&WHITE)?;
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
    root.draw(&Text::new("truth", (28, TOP_PX + side / 2), upwards))?;
    root.present()
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

/// Writes text centred about a point.
fn write<'a>(root: &Area<'a>, text: &str, at: (i32, i32), px: i32, ink: RGBColor) -> DrawResult<'a> {
    root.draw(&Text::new(text, at, style(px, ink).pos(Pos::new(HPos::Center, VPos::Center))))
}

fn style(px: i32, ink: RGBColor) -> TextStyle<'static> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        if register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_err() {
            log::error!("the font of the plots is damaged");
        }
    });
    (FONT, px).into_font().color(&ink)
}

fn mix(from: RGBColor, to: RGBColor, share: f64) -> RGBColor {
    let channel = |from: u8, to: u8| (f64::from(from) + share * (f64::from(to) - f64::from(from))).round() as u8;
    RGBColor(channel(from.0, to.0), channel(from.1, to.1), channel(from.2, to.2))
}

fn write_rgb(rgb: &[u8], width: i32, height: i32, path: &Path) -> Result<(), PlotError> {
    let written = || -> opencv::Result<bool> {
        let pixels = Mat::new_rows_cols_with_data(height, 3 * width, rgb)?;
        let pixels = pixels.reshape(3, 0)?;
        debug_assert_eq!(pixels.typ(), CV_8UC3);
        let mut bgr = Mat::default();
        cvt_color_def(&pixels, &mut bgr, COLOR_RGB2BGR)?;
        imwrite_def(path, &bgr)
    };
    let unwritable = |reason: String| PlotError::Unwritable { path: path.to_owned(), reason };
    match written() {
        Ok(true) => Ok(()),
        Ok(false) => Err(unwritable("is its folder there and writable?".to_owned())),
        Err(error) => Err(unwritable(error.to_string())),
    }
}
