//! Where the caption of a face is placed.

use opencv::core::Size;

use crate::faces::BoundingBox;

/// The place for a caption of size `caption` at the box `face`, inside an image of size `image`. All are in pixels.
///
/// The sides of the box are tried in this order: above, below, right, left. The first place that covers neither `face` nor
/// one of `others` is taken. `others` are the boxes of other faces and the captions that were placed before.
///
/// Where each place beside the box covers one of `others`, the one that covers least of them is taken. Where no side has room
/// for the caption, it covers `face` in the corner of the image where it covers least. The lower corners are tried first,
/// because the eyes tell more than the chin. A caption that is larger than the image is cut to it.
pub fn caption_place(image: Size, caption: Size, face: &BoundingBox, others: &[BoundingBox]) -> BoundingBox {
    let (width, height) = (caption.width.min(image.width), caption.height.min(image.height));
    let at = |x, y| BoundingBox { x, y, width, height };
    let (last_x, last_y) = (image.width - width, image.height - height);
    let columns = starts(width, last_x, (face.x, face.right()), others.iter().map(|other| (other.x, other.right())));
    let rows = starts(height, last_y, (face.y, face.bottom()), others.iter().map(|other| (other.y, other.bottom())));

    let in_row = |y: i32| columns.iter().map(move |x| at(*x, y));
    let in_column = |x: i32| rows.iter().map(move |y| at(x, *y));
    let beside = in_row(face.y - height)
        .chain(in_row(face.bottom()))
        .chain(in_column(face.right()))
        .chain(in_column(face.x - width));
    let in_image = |place: &BoundingBox| (0..=last_x).contains(&place.x) && (0..=last_y).contains(&place.y);
    let of_others = |place: &BoundingBox| others.iter().map(|other| covered(place, other)).sum::<i64>();
    // Of places that cover equally much, the first one is taken.
    let beside = beside.filter(in_image).min_by_key(of_others);

    let corners = [at(0, last_y), at(last_x, last_y), at(0, 0), at(last_x, 0)];
    let corner = corners.into_iter().min_by_key(|place| (covered(place, face), of_others(place)));
    beside.or(corner).unwrap_or(at(0, 0))
}

/// Where a caption of `length` may start along one axis, best first: flush with the start of the face, flush with its end, and
/// in between next to one of the others. No start is below 0 or above `last`.
fn starts(length: i32, last: i32, face: (i32, i32), others: impl Iterator<Item = (i32, i32)>) -> Vec<i32> {
    let flush = [face.0, face.1 - length].map(|start| start.clamp(0, last));
    let between = flush[0].min(flush[1])..=flush[0].max(flush[1]);
    let next_to = others.flat_map(|(start, end)| [end, start - length]).filter(|start| between.contains(start));
    flush.into_iter().chain(next_to).collect()
}

/// How many pixels of `other` the caption covers.
fn covered(place: &BoundingBox, other: &BoundingBox) -> i64 {
    place.intersection(other).map_or(0, |shared| i64::from(shared.width) * i64::from(shared.height))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IMAGE: Size = Size { width: 200, height: 120 };
    const CAPTION: Size = Size { width: 50, height: 20 };

    fn at(x: i32, y: i32, width: i32, height: i32) -> BoundingBox {
        BoundingBox { x, y, width, height }
    }

    fn place(face: BoundingBox, others: &[BoundingBox]) -> (i32, i32) {
        let BoundingBox { x, y, width, height } = caption_place(IMAGE, CAPTION, &face, others);
        assert_eq!(Size::new(width, height), CAPTION);
        (x, y)
    }

    #[test]
    fn the_first_side_with_room_is_taken_above_below_right_left() {
        let cases = [
            ("above", at(60, 20, 40, 30), (60, 0)),
            ("above, in the right corner", at(170, 50, 30, 30), (150, 30)),
            ("below", at(60, 19, 40, 30), (60, 49)),
            ("below, to the lower edge", at(60, 5, 40, 95), (60, 100)),
            ("right", at(60, 3, 90, 110), (150, 3)),
            ("right, in the lower corner", at(60, 10, 90, 109), (150, 10)),
            ("left", at(50, 0, 150, 120), (0, 0)),
        ];
        for (side, face, expected) in cases {
            assert_eq!(place(face, &[]), expected, "{side}");
        }
    }

    #[test]
    fn a_place_that_is_free_is_preferred() {
        let face = at(60, 40, 40, 30);
        assert_eq!(place(face, &[at(100, 20, 20, 20)]), (50, 20), "above, next to the other");
        assert_eq!(place(face, &[at(65, 0, 20, 30)]), (60, 70), "below");
        assert_eq!(place(face, &[at(65, 0, 20, 30), at(55, 80, 90, 10)]), (100, 40), "right");
        let around = [at(65, 0, 20, 30), at(55, 80, 90, 10), at(110, 30, 9, 60)];
        assert_eq!(place(face, &around), (10, 40), "left");
        let everywhere = [at(65, 0, 20, 30), at(55, 71, 90, 10), at(110, 30, 9, 60), at(0, 40, 20, 30)];
        assert_eq!(place(face, &everywhere), (100, 40), "right, where 9 columns are covered");
    }

    #[test]
    fn a_face_without_room_around_it_is_covered_below() {
        assert_eq!(place(at(0, 0, 200, 120), &[]), (0, 100));
        // Ten pixels more beside the box on the right and two below.
        assert_eq!(place(at(4, 1, 186, 117), &[]), (150, 100));
        // The upper side has more room than the lower one.
        assert_eq!(place(at(2, 15, 196, 100), &[]), (0, 0));
    }

    fn boxes_in(image: Size) -> impl Strategy<Value = BoundingBox> {
        (0..image.width, 0..image.height).prop_flat_map(move |(x, y)| {
            (1..=image.width - x, 1..=image.height - y).prop_map(move |(width, height)| at(x, y, width, height))
        })
    }

    fn scenes() -> impl Strategy<Value = (Size, Size, BoundingBox, Vec<BoundingBox>)> {
        (1..90, 1..60, 1..50, 1..30).prop_flat_map(|(width, height, caption_width, caption_height)| {
            let (image, caption) = (Size::new(width, height), Size::new(caption_width, caption_height));
            let others = proptest::collection::vec(boxes_in(image), 0..4);
            (Just(image), Just(caption), boxes_in(image), others)
        })
    }

    /// Every place in the image.
    fn all_places(image: Size, caption: Size) -> impl Iterator<Item = BoundingBox> {
        let (width, height) = (caption.width.min(image.width), caption.height.min(image.height));
        (0..=image.height - height)
            .flat_map(move |y| (0..=image.width - width).map(move |x| BoundingBox { x, y, width, height }))
    }

    /// Whether the place touches a side of the box and reaches no further along that side than flush with both of its ends.
    fn is_beside(place: &BoundingBox, face: &BoundingBox, image: Size) -> bool {
        let along = |start: i32, length: i32, face_start: i32, face_end: i32, last: i32| {
            let ends = [face_start.min(last), (face_end - length).max(0)];
            (ends[0].min(ends[1])..=ends[0].max(ends[1])).contains(&start)
        };
        let in_columns = along(place.x, place.width, face.x, face.right(), image.width - place.width);
        let in_rows = along(place.y, place.height, face.y, face.bottom(), image.height - place.height);
        (in_columns && (place.bottom() == face.y || place.y == face.bottom()))
            || (in_rows && (place.right() == face.x || place.x == face.right()))
    }

    proptest! {
        #[test]
        fn no_other_place_is_better((image, caption, face, others) in scenes()) {
            let place = caption_place(image, caption, &face, &others);
            let whole = BoundingBox::of_image(image.width, image.height);
            prop_assert_eq!(place.intersection(&whole), Some(place));
            prop_assert_eq!(place.width, caption.width.min(image.width));
            prop_assert_eq!(place.height, caption.height.min(image.height));

            let least_of_face = all_places(image, caption).map(|place| covered(&place, &face)).min();
            prop_assert_eq!(Some(covered(&place, &face)), least_of_face);
            let is_free = |place: &BoundingBox| others.iter().all(|other| covered(place, other) == 0);
            let free = all_places(image, caption).find(|place| is_beside(place, &face, image) && is_free(place));
            prop_assert!(free.is_none() || is_free(&place), "{place:?}, but {free:?} is free");
            if least_of_face == Some(0) {
                prop_assert!(is_beside(&place, &face, image));
            }
        }
    }
}
