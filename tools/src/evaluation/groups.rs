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

/// Accuracy by gender, age, race, and gender and race together; empty where the data do not describe people.
pub fn groupings<A: Attribute>(predictions: &[Prediction<A>]) -> Vec<Grouping> {
    let by_gender = Gender::CLASSES.iter().map(|gender| group(predictions, gender.name(), |p| p.gender == *gender));
    let by_race = Race::ALL.iter().map(|race| group(predictions, race.name(), |p| p.race == *race));
    let ends = AGE_BANDS.iter().skip(1).map(|next| Some(next - 1)).chain([None]);
    let by_age = AGE_BANDS.iter().zip(ends).map(|(first, last)| {
        let name = last.map_or_else(|| format!("{first} and older"), |last| format!("{first} to {last}"));
        group(predictions, &name, |p| p.age_years >= *first && last.is_none_or(|last| p.age_years <= last))
    });
    let by_both = Gender::CLASSES.iter().flat_map(|gender| {
        Race::ALL.iter().map(|race| {
            let name = format!("{}, {}", gender.name(), race.name());
            group(predictions, &name, |p| p.gender == *gender && p.race == *race)
        })
    });
    let groupings = [
        Grouping { by: "gender", groups: by_gender.flatten().collect() },
        Grouping { by: "age", groups: by_age.flatten().collect() },
        Grouping { by: "race", groups: by_race.flatten().collect() },
        Grouping { by: "gender and race", groups: by_both.flatten().collect() },
    ];
    groupings.into_iter().filter(|grouping| !grouping.groups.is_empty()).collect()
}

fn group<A: Attribute>(predictions: &[Prediction<A>], name: &str, has: impl Fn(&Person) -> bool) -> Option<Group> {
    let members = || predictions.iter().filter(|prediction| prediction.person.as_ref().is_some_and(&has));
    let count = members().count() as u64;
    let right = members().filter(|prediction| prediction.is_right()).count() as u64;
    wilson_interval(right, count).map(|accuracy_interval| Group {
        name: name.to_owned(),
        count,
        accuracy: right as f64 / count as f64,
        accuracy_interval,
    })
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
