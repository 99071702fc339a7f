//! A contact sheet: rows of small pictures with captions.

use opencv::core::{CV_8UC3, Mat, Point, Rect, Scalar, Size};
use opencv::imgproc::{self, cvt_color_def, put_text, resize};
use opencv::prelude::*;

/// Side of a tile's picture on the sheet, in pixels.
const PICTURE_PX: i32 = 128;
/// Blank pixels around each tile.
const GAP_PX: i32 = 4;
/// Height of the line below each picture, in pixels.
const CAPTION_PX: i32 = 18;
/// Least width of the column with the rows' names, in pixels.
const NAME_PX: i32 = 84;

const FONT: i32 = imgproc::FONT_HERSHEY_SIMPLEX;
const FONT_SCALE: f64 = 0.42;

/// A picture and the line below it.
#[derive(Debug)]
pub struct Tile {
    /// 8-bit, one channel or blue, green, red; of any size, shown as a square.
    pub picture: Mat,
    /// Short; empty for none.
    pub caption: String,
}

/// Tiles from left to right.
#[derive(Debug)]
pub struct Row {
    /// Written to the left of the row.
    pub name: String,
    /// Rows may differ in how many they have.
    pub tiles: Vec<Tile>,
}

/// Draws a sheet: height x width, 8-bit, blue, green, red, dark on white. One without tiles is one blank tile.
///
/// # Errors
/// Only those of OpenCV.
pub fn draw_sheet(rows: &[Row]) -> opencv::Result<Mat> {
    let columns = rows.iter().map(|row| row.tiles.len()).max().unwrap_or(0).max(1) as i32;
    let (tile_width, tile_height) = (PICTURE_PX + 2 * GAP_PX, PICTURE_PX + CAPTION_PX + 2 * GAP_PX);
    let names_width = names_width(rows)?;
    let (height, width) = (tile_height * (rows.len().max(1) as i32), names_width + tile_width * columns);
    let mut sheet = Mat::new_rows_cols_with_default(height, width, CV_8UC3, Scalar::all(255.0))?;
    for (row, y) in rows.iter().zip((0..).map(|n| n * tile_height + GAP_PX)) {
        write(&mut sheet, &row.name, Point::new(GAP_PX, y + PICTURE_PX / 2))?;
        for (tile, x) in row.tiles.iter().zip((0..).map(|n| names_width + n * tile_width + GAP_PX)) {
            paste(&mut sheet, &tile.picture, Point::new(x, y))?;
            write(&mut sheet, &tile.caption, Point::new(x, y + PICTURE_PX + CAPTION_PX - GAP_PX))?;
        }
    }
    Ok(sheet)
}

/// Width of the column with the rows' names: as much as the longest one needs.
fn names_width(rows: &[Row]) -> opencv::Result<i32> {
    rows.iter().try_fold(NAME_PX, |width, row| {
        let text = imgproc::get_text_size(&row.name, FONT, FONT_SCALE, 1, &mut 0)?;
        Ok(width.max(text.width + 2 * GAP_PX))
    })
}

fn paste(sheet: &mut Mat, picture: &Mat, corner: Point) -> opencv::Result<()> {
    let mut bgr = Mat::default();
    if picture.channels() == 1 {
        cvt_color_def(picture, &mut bgr, imgproc::COLOR_GRAY2BGR)?;
    } else {
        picture.copy_to(&mut bgr)?;
    }
    let place = Rect::new(corner.x, corner.y, PICTURE_PX, PICTURE_PX);
    let mut target = Mat::roi_mut(sheet, place)?;
    resize(&bgr, &mut target, Size::new(PICTURE_PX, PICTURE_PX), 0.0, 0.0, imgproc::INTER_LINEAR)
}

fn write(sheet: &mut Mat, text: &str, origin: Point) -> opencv::Result<()> {
    put_text(sheet, text, origin, FONT, FONT_SCALE, Scalar::all(0.0), 1, imgproc::LINE_AA, false)
}

#[cfg(test)]
mod tests {
    use opencv::core::Vec3b;

    use super::*;

    fn tile(gray: f64, caption: &str) -> Tile {
        let picture = Mat::new_rows_cols_with_default(7, 5, opencv::core::CV_8UC1, Scalar::all(gray)).unwrap();
        Tile { picture, caption: caption.to_owned() }
    }

    #[test]
    fn each_tile_is_in_its_row_and_column() {
        let rows = [
            Row { name: "#1".to_owned(), tiles: vec![tile(10.0, "")] },
            Row { name: String::new(), tiles: vec![tile(20.0, "happy 90%"), tile(30.0, "")] },
        ];
        let sheet = draw_sheet(&rows).unwrap();
        assert_eq!((sheet.cols(), sheet.rows()), (84 + 2 * 136, 2 * 154));
        let gray_at = |x: i32, y: i32| *sheet.at_2d::<Vec3b>(y, x).unwrap();
        for (x, y, gray) in [(84 + 60, 60, 10), (84 + 60, 154 + 60, 20), (84 + 136 + 60, 154 + 60, 30)] {
            assert_eq!(gray_at(x, y), Vec3b::from([gray; 3]), "at {x},{y}");
        }
        assert_eq!(gray_at(84 + 136 + 60, 60), Vec3b::from([255; 3]));
        // The caption and the name leave ink below the picture and in the margin.
        let inked = |place: Rect| {
            Mat::roi(&sheet, place).unwrap().try_clone().unwrap().data_bytes().unwrap().iter().any(|byte| *byte < 100)
        };
        assert!(inked(Rect::new(88, 154 + 132, 128, 18)) && inked(Rect::new(0, 0, 84, 154)));
        assert!(!inked(Rect::new(88, 132, 128, 18)) && !inked(Rect::new(0, 154, 84, 154)));
    }

    #[test]
    fn a_long_name_moves_the_tiles_to_the_right() {
        let row = |name: &str| [Row { name: name.to_owned(), tiles: vec![tile(10.0, "")] }];
        let sheet = draw_sheet(&row("sequential_fully_cnn")).unwrap();
        let names = sheet.cols() - 136;
        assert!((120..200).contains(&names), "{names}");
        assert_eq!(*sheet.at_2d::<Vec3b>(60, names + 60).unwrap(), Vec3b::from([10; 3]));
        // All of the name is left of the tile.
        let gap = Mat::roi(&sheet, Rect::new(names - 4, 0, 8, 154)).unwrap().try_clone().unwrap();
        assert!(gap.data_bytes().unwrap().iter().all(|byte| *byte == 255));
    }

    #[test]
    fn a_sheet_without_tiles_is_blank() {
        let sheet = draw_sheet(&[]).unwrap();
        assert!(sheet.rows() > 0 && sheet.data_bytes().unwrap().iter().all(|byte| *byte == 255));
    }
}
