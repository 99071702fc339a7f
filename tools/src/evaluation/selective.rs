//! Selective accuracy: how often the answers are wrong that are given, where those below a confidence are withheld (Geifman and
//! El-Yaniv 2017). The node withholds them as `unknown`.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::{Serialize, Serializer};

use super::Prediction;
use super::groups::members;
use super::metrics::{Interval, wilson_interval};
use super::report::{align_numbers, percent, percent_interval, table};
use face_attributes::attributes::Attribute;

/// Error over the share that is answered, for all pictures and for each group, and the confidence from which the error is low
/// enough in every group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelectiveReport {
    /// The largest share of wrong answers among those that are given.
    pub max_error: f64,
    /// Smaller groups do not decide on the confidence.
    pub min_group: u64,
    /// The smallest confidence at which the error is at most `max_error` for all pictures and for each group that decides.
    /// Answers of this confidence are given. `None` where no confidence is high enough, and without pictures.
    pub min_confidence: Option<f64>,
    /// All pictures first, then the groups.
    pub groups: Vec<SelectiveGroup>,
}

/// Pictures of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelectiveGroup {
    /// The property by which the people are grouped; empty for all pictures.
    pub by: &'static str,
    /// The property's value; `all` for all pictures.
    pub name: String,
    /// Number of pictures, at least 1.
    pub count: u64,
    /// The smallest confidence at which the group's own error is low enough; `None` where none is.
    pub min_confidence: Option<f64>,
    /// Share of the pictures that are answered at [`SelectiveReport::min_confidence`].
    pub answered: f64,
    /// Share of these answers that are wrong; `None` where none is given.
    pub error: Option<f64>,
    /// Its 95 % interval.
    pub error_interval: Option<Interval>,
    /// The curve.
    pub curve: Curve,
}

/// Points of falling confidence, one per confidence that occurs. At the last one, all pictures are answered. As data for other
/// programs, there are at most [`Curve::SERIALIZED_POINTS`] of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
}

impl Serialize for Curve {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let step = self.points.len().div_ceil(Self::SERIALIZED_POINTS).max(1);
        // From the end, so that all pictures are in it.
        let mut points: Vec<_> = self.points.iter().rev().step_by(step).collect();
        points.reverse();
        points.serialize(serializer)
    }
}

/// Where answers of a confidence and above are given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The confidence.
    pub confidence: f64,
    /// Share of the pictures that are answered.
    pub answered: f64,
    /// Share of these answers that are wrong.
    pub error: f64,
    #[serde(skip)]
    counts: (u64, u64),
}

impl Curve {
    /// The largest number of points in data for other programs.
    pub const SERIALIZED_POINTS: usize = 100;

    fn of<'a, A: Attribute>(predictions: impl Iterator<Item = &'a Prediction<A>>) -> Self {
        let mut answers: Vec<_> = predictions.map(|it| (it.confidence(), it.is_right())).collect();
        answers.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let total = answers.len() as f64;
        let (mut given, mut wrong) = (0_u64, 0_u64);
        let mut points = Vec::new();
        for same in answers.chunk_by(|(a, _), (b, _)| a == b) {
            given += same.len() as u64;
            wrong += same.iter().filter(|(_, is_right)| !is_right).count() as u64;
            let (answered, error) = (given as f64 / total, wrong as f64 / given as f64);
            points.push(Point { confidence: same[0].0, answered, error, counts: (given, wrong) });
        }
        Self { points }
    }

    /// The points.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Number of answers and of wrong ones among them where answers of this confidence and above are given.
    fn counts_at(&self, confidence: f64) -> (u64, u64) {
        let given = self.points.partition_point(|point| point.confidence >= confidence);
        given.checked_sub(1).map_or((0, 0), |last| self.points[last].counts)
    }

    fn is_low_enough(&self, confidence: f64, max_error: f64) -> bool {
        let (given, wrong) = self.counts_at(confidence);
        wrong as f64 <= max_error * given as f64
    }

    /// The smallest confidence of an answer at which the error of every curve is low enough.
    fn min_confidence<'a>(curves: impl Iterator<Item = &'a Self> + Clone, max_error: f64) -> Option<f64> {
        let confidences = curves.clone().flat_map(|curve| curve.points.iter().map(|point| point.confidence));
        let suitable =
            confidences.filter(|confidence| curves.clone().all(|curve| curve.is_low_enough(*confidence, max_error)));
        suitable.min_by(f64::total_cmp)
    }
}

impl SelectiveReport {
    /// Figures for a largest error, 0 to 1. Groups of fewer pictures than `min_group` do not decide on the confidence: an error
    /// of 3 % means nothing among ten pictures.
    pub fn new<A: Attribute>(predictions: &[Prediction<A>], max_error: f64, min_group: u64) -> Self {
        let all = (!predictions.is_empty()).then(|| ("", "all".to_owned(), predictions.iter().collect::<Vec<_>>()));
        let curves: Vec<_> = all
            .into_iter()
            .chain(members(predictions))
            .map(|(by, name, members)| (by, name, members.len() as u64, Curve::of(members.into_iter())))
            .collect();
        let deciding =
            curves.iter().filter(|(by, _, count, _)| by.is_empty() || *count >= min_group).map(|(.., curve)| curve);
        let min_confidence = Curve::min_confidence(deciding, max_error);
        let groups = curves.iter().map(|(by, name, count, curve)| {
            let (given, wrong) = min_confidence.map_or((0, 0), |confidence| curve.counts_at(confidence));
            SelectiveGroup {
                by,
                name: name.clone(),
                count: *count,
                min_confidence: Curve::min_confidence([curve].into_iter(), max_error),
                answered: given as f64 / *count as f64,
                error: (given > 0).then(|| wrong as f64 / given as f64),
                error_interval: wilson_interval(wrong, given),
                curve: curve.clone(),
            }
        });
        Self { max_error, min_group, min_confidence, groups: groups.collect() }
    }

    /// A row per group.
    pub fn table(&self) -> Table {
        let columns = ["group", "pictures", "answered", "wrong of these", "95 % interval", "confidence that it needs"];
        let mut table = table(columns.map(str::to_owned));
        for group in &self.groups {
            let note = if group.by.is_empty() || group.count >= self.min_group { "" } else { " (does not decide)" };
            table.add_row([
                format!("{}{note}", group.name),
                group.count.to_string(),
                percent(Some(group.answered)),
                percent(group.error),
                percent_interval(group.error_interval),
                group.min_confidence.map_or("none is enough".to_owned(), |confidence| format!("{confidence:.3}")),
            ]);
        }
        align_numbers(table)
    }

    /// The confidence in a sentence.
    pub fn summary(&self) -> String {
        let max_error = percent(Some(self.max_error));
        let Some(min_confidence) = self.min_confidence else {
            return format!("at no confidence are at most {max_error} of the given answers wrong in every group");
        };
        let deciding = match self.min_group {
            0 | 1 => "every group".to_owned(),
            count => format!("every group of {count} pictures or more"),
        };
        format!(
            "at confidence {min_confidence:.3} and above, at most {max_error} of the given answers are wrong in {deciding}; {} are answered",
            percent(self.groups.first().map(|all| all.answered)),
        )
    }
}

impl fmt::Display for SelectiveReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = self.table();
        table.load_style(UTF8_FULL_CONDENSED);
        write!(f, "{table}\n{}", self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Person, Race};
    use face_attributes::attributes::Gender::{self, Man, Woman};

    /// An answer of this confidence about a woman (of 30 or of 70) or a man.
    fn answer(confidence: f32, is_right: bool, gender: Gender, age_years: u32) -> Prediction<Gender> {
        let woman = if is_right == (gender == Woman) { confidence } else { 1.0 - confidence };
        let person = Person { age_years, gender, race: Race::Asian };
        Prediction::new(gender, vec![woman, 1.0 - woman], Some(person)).unwrap()
    }

    fn predictions() -> Vec<Prediction<Gender>> {
        vec![
            answer(0.95, true, Woman, 30),
            answer(0.9, true, Man, 30),
            answer(0.85, true, Woman, 30),
            answer(0.8, false, Woman, 70),
            answer(0.75, true, Woman, 30),
            answer(0.7, true, Man, 30),
            answer(0.6, false, Man, 30),
            answer(0.6, true, Man, 30),
        ]
    }

    fn group<'a>(report: &'a SelectiveReport, name: &str) -> &'a SelectiveGroup {
        report.groups.iter().find(|group| group.name == name).unwrap()
    }

    #[test]
    fn a_curve_counts_what_is_given_and_wrong() {
        let report = SelectiveReport::new(&predictions(), 0.2, 1);
        let points: Vec<_> = group(&report, "all").curve.points().iter().map(|it| (it.answered, it.error)).collect();
        let expected = [
            (0.125, 0.0),
            (0.25, 0.0),
            (0.375, 0.0),
            (0.5, 0.25),
            (0.625, 0.2),
            (0.75, 1.0 / 6.0),
            (1.0, 0.25), // two of the same confidence, so one point
        ];
        assert_eq!(points, expected);
    }

    #[test]
    fn a_long_curve_is_serialized_with_fewer_points_and_its_end() {
        let many: Vec<_> = (0..250).map(|number| answer(0.6 + 0.001 * number as f32, number > 0, Man, 30)).collect();
        let report = serde_json::to_value(SelectiveReport::new(&many, 0.03, 1)).unwrap();
        let curve = report["groups"][0]["curve"].as_array().unwrap();
        assert_eq!((curve.len(), &curve[curve.len() - 1]["error"]), (84, &serde_json::json!(0.004)));
    }

    // One woman of 70, answered wrongly at 0.8: above that nobody of her group is answered.
    #[test]
    fn every_group_decides_on_the_confidence() {
        let report = SelectiveReport::new(&predictions(), 0.2, 1);
        assert_eq!(report.groups.iter().map(|it| it.by).collect::<std::collections::BTreeSet<_>>().len(), 5);
        let near = |got: f64, expected: f64| assert!((got - expected).abs() < 1e-6, "{got}, expected {expected}");
        near(report.min_confidence.unwrap(), 0.85);
        let old = group(&report, "60 and older");
        assert_eq!((old.answered, old.error), (0.0, None));
        assert_eq!(old.min_confidence, None);
        // All need only 0.7: one wrong of six.
        near(group(&report, "all").min_confidence.unwrap(), 0.7);
        near(group(&report, "all").answered, 0.375);
        near(group(&report, "man").min_confidence.unwrap(), 0.7);
        assert!(
            report.summary().starts_with("at confidence 0.850 and above, at most 20.0% of"),
            "{}",
            report.summary()
        );
    }

    #[test]
    fn small_groups_do_not_decide_where_they_are_told_so() {
        let report = SelectiveReport::new(&predictions(), 0.25, 2);
        // Women: one wrong of four down to 0.75. Men: one wrong of four at 0.6. All: two wrong of eight.
        assert!((report.min_confidence.unwrap() - 0.6).abs() < 1e-6, "{report}");
        assert_eq!(group(&report, "60 and older").error, Some(1.0));
        assert!(report.to_string().contains("60 and older (does not decide)"), "{report}");
        assert!(report.summary().contains("in every group of 2 pictures or more; 100.0% are answered"), "{report}");
    }

    #[test]
    fn without_an_error_that_is_low_enough_nothing_is_answered() {
        let wrong = [answer(0.9, false, Man, 30)];
        let report = SelectiveReport::new(&wrong, 0.03, 1);
        assert_eq!((report.min_confidence, report.groups[0].answered, report.groups[0].error), (None, 0.0, None));
        assert!(report.to_string().contains("none is enough"), "{report}");
        let nothing = SelectiveReport::new::<Gender>(&[], 0.03, 1);
        assert_eq!(nothing.summary(), "at no confidence are at most 3.0% of the given answers wrong in every group");
    }
}
