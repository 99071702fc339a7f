//! Finds what somebody probably meant by a misspelt name.

/// The one of `names` that is spelt most like `name`; `None` where none is similar.
///
/// Similar is what differs in at most a third of its characters, or is the beginning or the dotted end of one of the names.
pub fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let rated = names.into_iter().filter_map(|candidate| Some((rating(name, candidate)?, candidate)));
    rated.min_by_key(|(rating, _)| *rating).map(|(_, candidate)| candidate)
}

/// How different the names are; `None` for too much.
fn rating(name: &str, candidate: &str) -> Option<usize> {
    let distance = edit_distance(name, candidate);
    let limit = name.chars().count().max(candidate.chars().count()) / 3;
    let is_part = name.len() > 2
        && (candidate.starts_with(name) || candidate.strip_suffix(name).is_some_and(|group| group.ends_with('.')));
    // The nearest of those that are spelt alike is better than one that has more parts.
    let distance = if distance <= limit { distance } else { distance.saturating_add(1000) };
    (distance <= limit || is_part).then_some(distance)
}

/// Characters to insert, remove or replace, and neighbours to swap, that make `to` of `from`, whatever the case.
///
/// The optimal string alignment distance: Damerau, "A technique for computer detection and correction of spelling errors"
/// (1964).
fn edit_distance(from: &str, to: &str) -> usize {
    let from: Vec<_> = from.chars().flat_map(char::to_lowercase).collect();
    let to: Vec<_> = to.chars().flat_map(char::to_lowercase).collect();
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_changed_characters_and_swapped_neighbours() {
        for (from, to, distance) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("abc", "acb", 1),
            ("Abc", "abc", 0),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(edit_distance(from, to), distance, "{from} {to}");
        }
    }

    #[test]
    fn a_misspelt_name_is_recognised_and_a_foreign_one_is_not() {
        let names =
            ["detector.scale_factor", "detector.min_neighbors", "emotion.margin", "gender.margin", "use_sim_time"];
        for (name, expected) in [
            ("detector.min_neighbours", Some("detector.min_neighbors")),
            ("detector.min_nieghbors", Some("detector.min_neighbors")),
            ("gendr.margin", Some("gender.margin")),
            ("Gender.Margin", Some("gender.margin")),
            ("use_sim_tim", Some("use_sim_time")),
            ("detector.scale", Some("detector.scale_factor")),
            ("min_neighbors", Some("detector.min_neighbors")),
            ("gender", Some("gender.margin")),
            ("robot_name", None),
            ("max_vel_x", None),
            ("e", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, names), expected, "{name}");
        }
    }
}
