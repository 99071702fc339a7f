//! Plots of figures.

mod confusion;
mod reliability;
mod selective;

pub use confusion::plot_confusion_matrix;
pub use reliability::plot_reliability;
pub use selective::plot_selective;

use std::path::{Path, PathBuf};
use std::sync::Once;

use opencv::core::{CV_8UC3, Mat, Vector};
use opencv::imgcodecs::{IMWRITE_PNG_COMPRESSION, imwrite};
use opencv::imgproc::{COLOR_RGB2BGR, cvt_color_def};
use opencv::prelude::*;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Why a plot could not be drawn.
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
/// The colour of text.
pub const INK: RGBColor = RGBColor(35, 40, 50);

/// A part of a picture.
pub type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
/// The result of drawing.
pub type DrawResult<'a> = Result<(), DrawingAreaErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

/// Lets `draw` fill a white picture of `width` x `height` pixels, each at least 1, and writes it into a file. The ending
/// decides the format.
///
/// # Errors
/// [`PlotError`] where `draw` fails; it names the file that cannot be written.
pub fn plot(
    path: &Path,
    width: i32,
    height: i32,
    draw: impl for<'a> FnOnce(&Area<'a>) -> DrawResult<'a>,
) -> Result<(), PlotError> {
    let mut rgb = vec![255; (3 * width * height) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut rgb, (width as u32, height as u32)).into_drawing_area();
        draw(&root).and_then(|()| root.present()).map_err(|error| PlotError::Drawing(error.to_string()))?;
    }
    write_rgb(&rgb, width, height, path)
}

/// Writes text centred at a point.
fn write<'a>(root: &Area<'a>, text: &str, at: (i32, i32), px: i32, ink: RGBColor) -> DrawResult<'a> {
    root.draw(&Text::new(text, at, style(px, ink).pos(Pos::new(HPos::Center, VPos::Center))))
}

/// Text of a size and colour.
pub fn style(px: i32, ink: RGBColor) -> TextStyle<'static> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        if register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_err() {
            log::error!("the font of the plots is damaged");
        }
    });
    (FONT, px).into_font().color(&ink)
}

fn write_rgb(rgb: &[u8], width: i32, height: i32, path: &Path) -> Result<(), PlotError> {
    let written = || -> opencv::Result<bool> {
        let pixels = Mat::new_rows_cols_with_data(height, 3 * width, rgb)?;
        let pixels = pixels.reshape(3, 0)?;
        debug_assert_eq!(pixels.typ(), CV_8UC3);
        let mut bgr = Mat::default();
        cvt_color_def(&pixels, &mut bgr, COLOR_RGB2BGR)?;
        imwrite(path, &bgr, &Vector::from_slice(&[IMWRITE_PNG_COMPRESSION, 9]))
    };
    let unwritable = |reason: String| PlotError::Unwritable { path: path.to_owned(), reason };
    match written() {
        Ok(true) => Ok(()),
        Ok(false) => Err(unwritable("is its folder there and writable?".to_owned())),
        Err(error) => Err(unwritable(error.to_string())),
    }
}
