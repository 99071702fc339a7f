//! Accuracy per group of people.

use serde::Serialize;

use super::Prediction;
use super::metrics::{Interval, wilson_interval};
use crate::dataset::{Person, Race};
use face_attributes::attributes::{Attribute, Gender};

/// People grouped by one property.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grouping {
    /// The property.
    pub by: &'static str,
    /// The groups that are not empty.
    pub groups: Vec<Group>,
}

/// People with the same value of a property.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The property's value.
    pub name: String,
    /// Number of pictures, at least 1.
    pub count: u64,
    /// Fraction of right answers, 0 to 1.
    pub accuracy: f64,
    /// Its 95 % interval.
    pub accuracy_interval: Interval,
}

impl Grouping {
    /// The group with the fewest pictures, whose figure is the least certain one.
    pub fn smallest(&self) -> Option<&Group> {
        self.groups.iter().min_by_key(|group| group.count)
    }

    /// The group with the lowest accuracy.
    pub fn worst(&self) -> Option<&Group> {
        self.groups.iter().min_by(|a, b| a.accuracy.total_cmp(&b.accuracy))
    }
}

/// Bands of age by the first year of each.
const AGE_BANDS: [u32; 6] = [0, 10, 18, 30, 45, 60];

/// A group of people: the property by which they are grouped, its value, and who belongs to it.
type Membership = (&'static str, String, Box<dyn Fn(&Person) -> bool>);

/// By gender, age, race, and gender and race together.
fn memberships() -> Vec<Membership> {
    let mut all: Vec<Membership> = Vec::new();
    for gender in Gender::CLASSES {
        all.push(("gender", gender.name().to_owned(), Box::new(move |p| p.gender == *gender)));
    }
    let ends = AGE_BANDS.iter().skip(1).map(|next| Some(next - 1)).chain([None]);
    for (first, last) in AGE_BANDS.into_iter().zip(ends) {
        let name = last.map_or_else(|| format!("{first} and older"), |last| format!("{first} to {last}"));
        all.push(("age", name, Box::new(move |p| p.age_years >= first && last.is_none_or(|last| p.age_years <= last))));
    }
    for race in Race::ALL {
        all.push(("race", race.name().to_owned(), Box::new(move |p| p.race == race)));
    }
    for gender in Gender::CLASSES {
        for race in Race::ALL {
            let name = format!("{}, {}", gender.name(), race.name());
            all.push(("gender and race", name, Box::new(move |p| p.gender == *gender && p.race == race)));
        }
    }
    all
}

/// The groups that are not empty: property, value, and the predictions about their people.
pub(super) fn members<A: Attribute>(
    predictions: &[Prediction<A>],
) -> impl Iterator<Item = (&'static str, String, Vec<&Prediction<A>>)> {
    memberships().into_iter().filter_map(|(by, name, has)| {
        let members: Vec<_> = predictions.iter().filter(|it| it.person.as_ref().is_some_and(&has)).collect();
        (!members.is_empty()).then_some((by, name, members))
    })
}

/// Accuracy by gender, age, race, and gender and race together; empty where the data do not describe people.
pub fn groupings<A: Attribute>(predictions: &[Prediction<A>]) -> Vec<Grouping> {
    let mut groupings: Vec<Grouping> = Vec::new();
    for (by, name, members) in members(predictions) {
        let count = members.len() as u64;
        let right = members.iter().filter(|prediction| prediction.is_right()).count() as u64;
        let Some(accuracy_interval) = wilson_interval(right, count) else { continue };
        let group = Group { name, count, accuracy: right as f64 / count as f64, accuracy_interval };
        match groupings.last_mut().filter(|grouping| grouping.by == by) {
            Some(grouping) => grouping.groups.push(group),
            None => groupings.push(Grouping { by, groups: vec![group] }),
        }
    }
    groupings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(age_years: u32, gender: Gender, race: Race, is_right: bool) -> Prediction<Gender> {
        let woman = if is_right == (gender == Gender::Woman) { 0.8 } else { 0.2 };
        Prediction::new(gender, vec![woman, 1.0 - woman], Some(Person { age_years, gender, race })).unwrap()
    }

    #[test]
    fn people_are_counted_in_each_grouping_once() {
        use Gender::{Man, Woman};
        let predictions = [
            prediction(17, Woman, Race::Asian, false),
            prediction(18, Woman, Race::Asian, true),
            prediction(29, Woman, Race::Other, true),
            prediction(30, Man, Race::Asian, true),
            prediction(99, Man, Race::White, false),
        ];
        let found: Vec<_> = groupings(&predictions)
            .into_iter()
            .map(|it| (it.by, it.groups.into_iter().map(|g| (g.name, g.count, g.accuracy)).collect::<Vec<_>>()))
            .collect();
        let group = |name: &str, count, accuracy| (name.to_owned(), count, accuracy);
        let expected = [
            ("gender", vec![group("woman", 3, 2.0 / 3.0), group("man", 2, 0.5)]),
            (
                "age",
                vec![
                    group("10 to 17", 1, 0.0),
                    group("18 to 29", 2, 1.0),
                    group("30 to 44", 1, 1.0),
                    group("60 and older", 1, 0.0),
                ],
            ),
            ("race", vec![group("White", 1, 0.0), group("Asian", 3, 2.0 / 3.0), group("other", 1, 1.0)]),
            (
                "gender and race",
                vec![
                    group("woman, Asian", 2, 0.5),
                    group("woman, other", 1, 1.0),
                    group("man, White", 1, 0.0),
                    group("man, Asian", 1, 1.0),
                ],
            ),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_smallest_and_the_worst_group_are_found() {
        let predictions = [
            prediction(40, Gender::Woman, Race::White, true),
            prediction(40, Gender::Man, Race::White, true),
            prediction(40, Gender::Man, Race::White, false),
        ];
        let by_gender = groupings(&predictions).remove(0);
        assert_eq!(by_gender.smallest().unwrap().name, "woman");
        assert_eq!(by_gender.worst().unwrap().name, "man");
    }

    #[test]
    fn without_people_there_are_no_groups() {
        let unknown = Prediction { person: None, ..prediction(40, Gender::Man, Race::White, true) };
        assert_eq!(groupings(&[unknown]), []);
    }
}
