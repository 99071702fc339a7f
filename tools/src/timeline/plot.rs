//! Probabilities over time.

use std::ops::Range;
use std::path::Path;

use face_attributes::attributes::{Attribute, Emotion, Estimate, Gender};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Person, Plotted, Sample, Timeline};
use crate::evaluation::plot::{Area, DrawResult, INK, PlotError, plot, style};

/// The largest number of people in one plot.
const MAX_PEOPLE: usize = 6;

const WIDTH_PX: i32 = 1200;
const LEGEND_PX: i32 = 140;
/// The title of the plot, and that of each person.
const TITLE_HEIGHT_PX: i32 = 50;
const EMOTION_HEIGHT_PX: i32 = 260;
const GENDER_HEIGHT_PX: i32 = 170;
/// The height of the axis with the times, below the charts of each person.
const TIME_AXIS_PX: i32 = 55;
/// A line that says who is left out.
const FOOTER_PX: i32 = 40;
const LEFT_PX: i32 = 75;
const MARGIN_PX: i32 = 10;
const TITLE_PX: i32 = 22;
const TEXT_PX: i32 = 16;

const HELD_LINE_PX: u32 = 3;
const GRID: RGBColor = RGBColor(232, 235, 240);
/// The probabilities are below the strip with the held labels.
const LABEL_STRIP: Range<f64> = 1.04..1.12;
const Y_END: f64 = 1.15;

const EMOTION_COLORS: [RGBColor; 7] = [
    RGBColor(205, 30, 35),
    RGBColor(60, 150, 60),
    RGBColor(130, 80, 180),
    RGBColor(245, 150, 0),
    RGBColor(30, 110, 190),
    RGBColor(225, 90, 170),
    RGBColor(110, 110, 110),
];
/// As in annotated pictures: woman blue, man red.
const GENDER_COLORS: [RGBColor; 2] = [RGBColor(0, 80, 255), RGBColor(230, 0, 0)];

/// Draws the probabilities of each class over time into an image file. The ending decides the format, for example `.png`.
///
/// There is a panel for each person, those who were followed longest first. Of more than six people, the others are counted.
/// Thick lines are what holds over time, pale ones the answers for single frames. A line has a gap where there is no answer.
/// The strip above the lines has the colour of the held label, and none where the label is unknown.
///
/// # Errors
/// [`PlotError`] names the file where it cannot be written.
pub fn plot_timeline(timeline: &Timeline, title: &str, path: &Path) -> Result<(), PlotError> {
    let (people, left_out) = timeline.longest_followed(MAX_PEOPLE);
    let panel_px = TITLE_HEIGHT_PX + EMOTION_HEIGHT_PX + GENDER_HEIGHT_PX + TIME_AXIS_PX;
    let height = TITLE_HEIGHT_PX + panel_px * people.len() as i32 + FOOTER_PX;
    let begin = timeline.begin.unwrap_or_default().as_secs_f64();
    let times = begin..timeline.end.as_secs_f64().max(begin + 1e-3);
    let footer = match (people.len(), left_out) {
        (0, _) => "no face was found".to_owned(),
        (_, 0) => String::new(),
        (_, 1) => "1 more person is left out; shown are those who were followed longest".to_owned(),
        (_, left_out) => format!("{left_out} more people are left out; shown are those who were followed longest"),
    };
    plot(path, WIDTH_PX, height, |root| {
        let title = format!("{title}: what holds (thick, and its label above), and for each picture (pale)");
        root.draw(&Text::new(title, (MARGIN_PX, MARGIN_PX), style(TITLE_PX, INK)))?;
        let (_, mut rest) = root.split_vertically(TITLE_HEIGHT_PX);
        for person in &people {
            let (panel, below) = rest.split_vertically(panel_px);
            draw_person(&panel, person, &times)?;
            rest = below;
        }
        rest.draw(&Text::new(footer, (LEFT_PX, MARGIN_PX), style(TEXT_PX, INK)))
    })
}

fn draw_person<'a>(panel: &Area<'a>, person: &Person, times: &Range<f64>) -> DrawResult<'a> {
    let title = format!("{}, followed for {:.1} s", person.id, person.followed_secs());
    panel.draw(&Text::new(title, (LEFT_PX + MARGIN_PX, MARGIN_PX), style(TITLE_PX, INK)))?;
    let (_, charts) = panel.split_vertically(TITLE_HEIGHT_PX);
    let (emotion, gender) = charts.split_vertically(EMOTION_HEIGHT_PX);
    draw_attribute::<Emotion>(&emotion, &person.samples, times, &EMOTION_COLORS, 0)?;
    draw_attribute::<Gender>(&gender, &person.samples, times, &GENDER_COLORS, TIME_AXIS_PX)
}

/// Draws the curves of one attribute, and the names of its classes to their right. A time axis of no height is left out.
fn draw_attribute<'a, A: Plotted>(
    area: &Area<'a>,
    samples: &[Sample],
    times: &Range<f64>,
    colors: &[RGBColor],
    time_axis_px: i32,
) -> DrawResult<'a> {
    let (area, legend) = area.split_horizontally(WIDTH_PX - LEGEND_PX);
    draw_legend::<A>(&legend, colors)?;
    let mut chart = ChartBuilder::on(&area)
        .margin_right(MARGIN_PX)
        .margin_left(MARGIN_PX)
        .margin_bottom(MARGIN_PX)
        .x_label_area_size(time_axis_px)
        .y_label_area_size(LEFT_PX)
        .build_cartesian_2d(times.clone(), 0.0..Y_END)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_desc("time, s")
        .y_desc(A::TASK)
        .x_labels(11)
        .y_labels(5)
        .x_label_formatter(&|secs| format!("{secs:.1}"))
        .y_label_formatter(&|probability| format!("{probability:.1}"))
        .label_style(style(TEXT_PX, INK))
        .axis_desc_style(style(TEXT_PX, INK))
        .draw()?;
    let raw = |sample: &Sample, class: usize| probability(A::answers(sample).raw.as_ref(), class);
    let held = |sample: &Sample, class: usize| probability(A::answers(sample).held.as_ref(), class);
    // What holds is drawn over all that is pale.
    for (class, color) in colors.iter().enumerate() {
        for curve in curves(samples, |sample| raw(sample, class)) {
            chart.draw_series(dots_of_single_points(&curve, pale(*color)))?;
            chart.draw_series([PathElement::new(curve, pale(*color))])?;
        }
    }
    for (class, color) in colors.iter().enumerate() {
        for curve in curves(samples, |sample| held(sample, class)) {
            chart.draw_series(dots_of_single_points(&curve, *color))?;
            chart.draw_series([PathElement::new(curve, color.stroke_width(HELD_LINE_PX))])?;
        }
    }
    chart.draw_series(label_spans::<A>(samples, times.end).into_iter().map(|(class, begin, end)| {
        Rectangle::new([(begin, LABEL_STRIP.start), (end, LABEL_STRIP.end)], colors[class].filled())
    }))?;
    Ok(())
}

fn draw_legend<'a, A: Attribute>(area: &Area<'a>, colors: &[RGBColor]) -> DrawResult<'a> {
    let label = style(TEXT_PX, INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (row, (class, color)) in (0..).zip(A::CLASSES.iter().zip(colors)) {
        let y = MARGIN_PX + row * (TEXT_PX + 8);
        area.draw(&PathElement::new([(MARGIN_PX, y), (MARGIN_PX + 25, y)], color.stroke_width(HELD_LINE_PX)))?;
        area.draw(&Text::new(class.name(), (MARGIN_PX + 33, y), label.clone()))?;
    }
    Ok(())
}

fn probability<A>(estimate: Option<&Estimate<A>>, class: usize) -> Option<f64> {
    Some(f64::from(*estimate?.probabilities.get(class)?))
}

/// The points of a curve, in parts: it ends where a frame has no value or does not have the person, and begins anew.
fn curves(samples: &[Sample], value: impl Fn(&Sample) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
    let mut curves: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut last_scene = None;
    for sample in samples {
        let Some(value) = value(sample) else { continue };
        let point = (sample.time_secs, value);
        match curves.last_mut() {
            Some(curve) if last_scene == sample.scene.checked_sub(1) => curve.push(point),
            _ => curves.push(vec![point]),
        }
        last_scene = Some(sample.scene);
    }
    curves
}

/// A line of one point would not be visible.
fn dots_of_single_points(curve: &[(f64, f64)], color: RGBColor) -> Option<Circle<(f64, f64), i32>> {
    match curve {
        [point] => Some(Circle::new(*point, 2, color.filled())),
        _ => None,
    }
}

/// Where the held label is known: the position of the class, and the times from the first frame with it to the next frame with
/// another one, or to the last frame of the person.
fn label_spans<A: Plotted>(samples: &[Sample], end: f64) -> Vec<(usize, f64, f64)> {
    let mut spans: Vec<(usize, f64, f64)> = Vec::new();
    let next = samples.iter().skip(1).map(Some).chain([None]);
    for (sample, next) in samples.iter().zip(next) {
        let Some(label) = A::answers(sample).held.as_ref().and_then(|held| held.label) else { continue };
        let is_continued = next.is_some_and(|next| next.scene == sample.scene + 1);
        let until = next.filter(|_| is_continued).map_or(sample.time_secs, |next| next.time_secs).min(end);
        match spans.last_mut() {
            Some((class, _, last)) if *class == label.position() && *last == sample.time_secs => *last = until,
            _ => spans.push((label.position(), sample.time_secs, until)),
        }
    }
    spans
}

/// Less than half of the colour on white.
fn pale(color: RGBColor) -> RGBColor {
    let channel = |value: u8| 255 - (255 - value) / 5 * 2;
    RGBColor(channel(color.0), channel(color.1), channel(color.2))
}

#[cfg(test)]
mod tests {
    use face_attributes::attributes::RawEstimates;
    use face_attributes::faces::FaceIds;
    use opencv::core::{Mat, Vec3b};
    use opencv::prelude::*;

    use super::*;
    use crate::source::read_bgr;
    use crate::timeline::tests::scene;

    const HAPPY: [f32; 7] = [0.0, 0.0, 0.0, 0.75, 0.0, 0.0, 0.25];
    const NEUTRAL: [f32; 7] = [0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.75];
    const WOMAN: [f32; 2] = [1.0, 0.0];
    const UNKNOWN: [f32; 2] = [0.5, 0.5];

    fn plotted(timeline: &Timeline) -> Mat {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.png");
        plot_timeline(timeline, "clip.mkv", &path).unwrap();
        read_bgr(&path).unwrap()
    }

    /// The rows of this column that have a colour, from the top.
    fn rows(picture: &Mat, column: i32, color: RGBColor) -> Vec<i32> {
        let is_color = |row: &i32| picture.at_2d::<Vec3b>(*row, column).unwrap().0 == [color.2, color.1, color.0];
        (0..picture.rows()).filter(is_color).collect()
    }

    /// The column of a time, as a fraction of the plotted time.
    fn column(fraction: f64) -> i32 {
        let begin = MARGIN_PX + LEFT_PX;
        begin + (fraction * f64::from(WIDTH_PX - LEGEND_PX - MARGIN_PX - begin)) as i32
    }

    fn ink_pixels(picture: &Mat, rows: Range<i32>) -> usize {
        let is_ink = |pixel: &&Vec3b| pixel.0 != [255; 3];
        rows.map(|row| picture.at_row::<Vec3b>(row).unwrap().iter().filter(is_ink).count()).sum()
    }

    #[test]
    fn held_and_raw_answers_are_drawn_at_their_probability_with_a_gap_where_nobody_is() {
        let ids = FaceIds::of_camera(0);
        let id = ids.next_id();
        let mut timeline = Timeline::default();
        for frame in 0..=20 {
            let present = if (8..=12).contains(&frame) { vec![] } else { vec![id] };
            let mut scene = scene(f64::from(frame) / 10.0, &present, HAPPY, WOMAN);
            for face in &mut scene.faces {
                let raw = Estimate::from_probabilities(NEUTRAL.to_vec(), 0.4);
                face.raw = RawEstimates { emotion: Some(raw), gender: None };
            }
            timeline.add(&scene);
        }
        let picture = plotted(&timeline);
        assert_eq!(picture.cols(), WIDTH_PX);
        let [happy, neutral] = [EMOTION_COLORS[3], EMOTION_COLORS[6]];
        // 0.14 is between two frames and between two lines of the grid.
        let at = column(0.14);
        // The label's strip is above all lines.
        let strip_and_line = rows(&picture, at, happy);
        assert!(strip_and_line.len() > 10, "{strip_and_line:?}");
        let [held_happy, held_neutral] = [happy, neutral].map(|color| rows(&picture, at, color).pop().unwrap());
        let [raw_happy, raw_neutral] = [happy, neutral].map(|color| rows(&picture, at, pale(color)));
        assert!(held_happy < held_neutral, "the more probable one is higher");
        // Raw answers are the other way round. They lie at the same places, below the thick lines.
        assert!(raw_happy.iter().all(|row| (row - held_neutral).abs() <= 3), "{raw_happy:?}, {held_neutral}");
        assert!(raw_neutral.iter().all(|row| (row - held_happy).abs() <= 3), "{raw_neutral:?}, {held_happy}");
        for color in [happy, neutral, pale(happy), pale(neutral), GENDER_COLORS[0], GENDER_COLORS[1]] {
            assert_eq!(rows(&picture, column(0.53), color), [0; 0], "{color:?}");
        }
        assert!(!rows(&picture, column(0.83), happy).is_empty());
    }

    #[test]
    fn curves_end_where_there_is_no_answer() {
        let ids = FaceIds::of_camera(0);
        let id = ids.next_id();
        let mut timeline = Timeline::default();
        for (frame, is_there) in [true, true, false, true, true, true].into_iter().enumerate() {
            let present = if is_there { vec![id] } else { vec![] };
            let mut scene = scene(frame as f64, &present, HAPPY, if frame == 5 { UNKNOWN } else { WOMAN });
            for face in scene.faces.iter_mut().filter(|_| frame != 4) {
                face.raw.gender = face.gender.clone();
            }
            timeline.add(&scene);
        }
        let samples = &timeline.people[0].samples;
        let held = curves(samples, |sample| probability(sample.gender.held.as_ref(), 0));
        assert_eq!(held, [vec![(0.0, 1.0), (1.0, 1.0)], vec![(3.0, 1.0), (4.0, 1.0), (5.0, 0.5)]]);
        let raw = curves(samples, |sample| probability(sample.gender.raw.as_ref(), 1));
        assert_eq!(raw, [vec![(0.0, 0.0), (1.0, 0.0)], vec![(3.0, 0.0)], vec![(5.0, 0.5)]]);
        assert_eq!(label_spans::<Gender>(samples, 5.0), [(0, 0.0, 1.0), (0, 3.0, 5.0)]);
        assert_eq!(label_spans::<Emotion>(samples, 5.0), [(3, 0.0, 1.0), (3, 3.0, 5.0)]);
    }

    #[test]
    fn each_person_has_a_panel_and_those_left_out_are_counted() {
        let ids = FaceIds::of_camera(0);
        let people: Vec<_> = (0..MAX_PEOPLE + 3).map(|_| ids.next_id()).collect();
        let plot_of = |count: usize| {
            let mut timeline = Timeline::default();
            for time in [0.5, 0.75] {
                timeline.add(&scene(time, &people[..count], HAPPY, WOMAN));
            }
            plotted(&timeline)
        };
        let (none, one, most, more) = (plot_of(0), plot_of(1), plot_of(MAX_PEOPLE), plot_of(MAX_PEOPLE + 3));
        let panel = one.rows() - none.rows();
        assert_eq!(most.rows(), none.rows() + MAX_PEOPLE as i32 * panel);
        assert_eq!(more.rows(), most.rows());
        // The last line says what is not drawn.
        let footer = |picture: &Mat| ink_pixels(picture, picture.rows() - FOOTER_PX..picture.rows());
        assert_eq!((footer(&one), footer(&most)), (0, 0));
        assert!(footer(&none) > 50 && footer(&more) > 50);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = plot_timeline(&Timeline::default(), "clip.mkv", &folder.path().join("no/plot.png")).unwrap_err();
        assert!(error.to_string().contains("no/plot.png"), "{error}");
    }
}
