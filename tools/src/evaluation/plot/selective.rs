//! Error over the share that is answered.

use std::path::Path;

use plotters::prelude::*;

use super::{Area, DrawResult, INK, PlotError, SMALL_TEXT_PX, TEXT_PX, TITLE_PX, plot, style, write};
use crate::evaluation::selective::{SelectiveGroup, SelectiveReport};

const CHART_WIDTH_PX: i32 = 640;
const CHART_HEIGHT_PX: i32 = 460;
const TITLE_HEIGHT_PX: i32 = 60;
const MARGIN_PX: i32 = 15;
/// Half of the last label is to the right of the chart.
const RIGHT_PX: i32 = 35;
const LEFT_PX: i32 = 65;
const BOTTOM_PX: i32 = 50;

const GRID: RGBColor = RGBColor(225, 229, 235);
const LIMIT: RGBColor = RGBColor(190, 50, 40);
/// Of the groups of one chart, after all pictures in [`INK`]. Readable with every kind of colour vision (Okabe and Ito 2008).
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(140, 130, 20),
];

/// Draws the curves of a network into an image file: a chart for each property of people, with a curve for each of its groups
/// and one for all pictures. The ending decides the format. A red line shows the largest error that is allowed.
///
/// # Errors
/// [`PlotError`] names the file where it cannot be written.
pub fn plot_selective(task: &str, report: &SelectiveReport, path: &Path) -> Result<(), PlotError> {
    let mut properties: Vec<&str> = report.groups.iter().map(|group| group.by).collect();
    properties.dedup();
    // All pictures are in each chart; a chart of their own only where there is no other.
    properties.retain(|by| !by.is_empty());
    if properties.is_empty() {
        properties.push("");
    }
    let columns = if properties.len() > 1 { 2 } else { 1 };
    let rows = properties.len().div_ceil(columns);
    let [width, height] = [columns as i32 * CHART_WIDTH_PX, TITLE_HEIGHT_PX + rows as i32 * CHART_HEIGHT_PX];
    plot(path, width, height, |root| {
        write(
            root,
            &format!("{task}: wrong answers among those given"),
            (width / 2, TITLE_HEIGHT_PX / 2),
            TITLE_PX,
            INK,
        )?;
        let (_, charts) = root.split_vertically(TITLE_HEIGHT_PX);
        let areas = charts.split_evenly((rows, columns));
        areas.iter().zip(&properties).try_for_each(|(area, by)| draw_chart(area, by, report))
    })
}

fn draw_chart<'a>(area: &Area<'a>, by: &str, report: &SelectiveReport) -> DrawResult<'a> {
    let groups = report.groups.iter().filter(|group| group.by.is_empty() || group.by == by);
    let groups: Vec<&SelectiveGroup> = groups.collect();
    let last_errors = groups.iter().filter_map(|group| group.curve.points().last()).map(|point| point.error);
    let largest = last_errors.fold(2.0 * report.max_error, f64::max).clamp(0.01, 1.0);
    let mut chart = ChartBuilder::on(area)
        .caption(by, style(TEXT_PX, INK))
        .margin(MARGIN_PX)
        .margin_right(RIGHT_PX)
        .x_label_area_size(BOTTOM_PX)
        .y_label_area_size(LEFT_PX)
        .build_cartesian_2d(0.0..1.0, 0.0..1.3 * largest)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_desc("share answered")
        .y_desc("wrong")
        .x_label_formatter(&|share| format!("{:.0}%", 100.0 * share))
        .y_label_formatter(&|share| format!("{:.0}%", 100.0 * share))
        .label_style(style(SMALL_TEXT_PX, INK))
        .axis_desc_style(style(SMALL_TEXT_PX, INK))
        .draw()?;
    chart.draw_series([PathElement::new([(0.0, report.max_error), (1.0, report.max_error)], LIMIT.stroke_width(1))])?;
    for (position, group) in groups.iter().enumerate() {
        let color = position.checked_sub(1).map_or(INK, |position| COLORS[position % COLORS.len()]);
        // Groups of one colour, of which there are few: a thinner line.
        let width = if position > COLORS.len() { 1 } else { 2 };
        let points: Vec<_> = group.curve.points().iter().map(|point| (point.answered, point.error)).collect();
        let lines = points.windows(2).map(|ends| PathElement::new(ends.to_vec(), color.stroke_width(width)));
        chart
            .draw_series(lines)?
            .label(format!("{} ({})", group.name, group.count))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(width)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(style(SMALL_TEXT_PX, INK))
        .background_style(WHITE.mix(0.8))
        .draw()
}

#[cfg(test)]
mod tests {
    use face_attributes::attributes::Gender;
    use opencv::core::Vec3b;
    use opencv::prelude::*;

    use super::*;
    use crate::dataset::{Person, Race};
    use crate::evaluation::Prediction;
    use crate::source::read_bgr;

    fn prediction(confidence: f32, is_right: bool, person: Option<Person>) -> Prediction<Gender> {
        let woman = if is_right { confidence } else { 1.0 - confidence };
        Prediction::new(Gender::Woman, vec![woman, 1.0 - woman], person).unwrap()
    }

    fn drawn(predictions: &[Prediction<Gender>]) -> Mat {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("selective.png");
        plot_selective("gender", &SelectiveReport::new(predictions, 0.2, 1), &path).unwrap();
        read_bgr(&path).unwrap()
    }

    fn rows_of(picture: &Mat, color: RGBColor, column: i32) -> Vec<i32> {
        let is = |row: &i32| *picture.at_2d::<Vec3b>(*row, column).unwrap() == [color.2, color.1, color.0].into();
        (0..picture.rows()).filter(is).collect()
    }

    #[test]
    fn each_property_of_people_has_a_chart() {
        let person = Person { age_years: 40, gender: Gender::Woman, race: Race::Black };
        let of = |person| vec![prediction(0.9, true, person), prediction(0.8, false, person)];
        let (known, unknown) = (drawn(&of(Some(person))), drawn(&of(None)));
        assert_eq!((known.cols(), known.rows()), (2 * CHART_WIDTH_PX, TITLE_HEIGHT_PX + 2 * CHART_HEIGHT_PX));
        assert_eq!((unknown.cols(), unknown.rows()), (CHART_WIDTH_PX, TITLE_HEIGHT_PX + CHART_HEIGHT_PX));
        assert_eq!(drawn(&[]).cols(), CHART_WIDTH_PX);
    }

    // Right at 0.9, then wrong: from nothing wrong of one half to one half of all. At three quarters, the curve is above the
    // limit of 0.2 and below where it ends.
    #[test]
    fn the_curve_rises_where_answers_are_wrong() {
        let picture = drawn(&[prediction(0.9, true, None), prediction(0.8, false, None)]);
        let left = MARGIN_PX + LEFT_PX;
        let width = CHART_WIDTH_PX - left - RIGHT_PX;
        let column = |share: f64| left + (share * f64::from(width)) as i32;
        let limit = rows_of(&picture, LIMIT, column(0.3));
        assert_eq!(limit.len(), 1, "{limit:?}");
        let lowest =
            |share: f64| *rows_of(&picture, INK, column(share)).iter().rev().find(|row| **row < limit[0]).unwrap();
        assert!(lowest(0.95) < lowest(0.8), "{} {}", lowest(0.95), lowest(0.8));
    }
}
