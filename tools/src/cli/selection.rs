//! A few of many.

/// Up to `count` of the items, spread evenly, always the same ones.
pub fn spread<T>(items: &[T], count: usize) -> impl Iterator<Item = &T> {
    let count = count.min(items.len());
    (0..count).map(move |position| &items[(2 * position + 1) * items.len() / (2 * count)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_are_spread_evenly() {
        let items: Vec<_> = (0..12).collect();
        let of = |count| spread(&items, count).copied().collect::<Vec<_>>();
        assert!(of(0).is_empty());
        assert_eq!(of(1), [6]);
        assert_eq!(of(3), [2, 6, 10]);
        assert_eq!(of(12), items);
        assert_eq!(of(99), items);
        assert_eq!(spread(&[0; 0], 3).count(), 0);
    }
}
