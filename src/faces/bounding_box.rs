//! Boxes in image pixels. x points to the right and y down, from the image's top left corner.

use opencv::core::Rect;

/// A face in an image, in pixels. Detection gives boxes that lie inside their image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BoundingBox {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width, at least 1.
    pub width: i32,
    /// Height, at least 1.
    pub height: i32,
}

impl BoundingBox {
    /// The box that covers a whole image of `width` x `height` pixels.
    pub fn of_image(width: i32, height: i32) -> Self {
        Self { x: 0, y: 0, width, height }
    }

    /// The square around this box's centre that holds the box with a margin on each side, as a fraction of its longer
    /// side.
    ///
    /// The square may leave the image.
    pub fn square_with_margin(&self, margin: f64) -> Self {
        let longer_side = f64::from(self.width.max(self.height));
        let side = (longer_side * (1.0 + 2.0 * margin)).round().max(1.0);
        let begin = |start: i32, length: i32| (f64::from(start) + (f64::from(length) - side) / 2.0).round() as i32;
        Self { x: begin(self.x, self.width), y: begin(self.y, self.height), width: side as i32, height: side as i32 }
    }

    /// The part of this box that lies in `other`, if any.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let x = self.x.max(other.x);
        let y = self.y.max(other.y);
        let width = self.right().min(other.right()) - x;
        let height = self.bottom().min(other.bottom()) - y;
        (width > 0 && height > 0).then_some(Self { x, y, width, height })
    }

    /// Intersection over union with `other`: 0 for disjoint boxes, 1 for equal ones.
    pub fn iou(&self, other: &Self) -> f64 {
        let shared = self.intersection(other).map_or(0.0, |shared| shared.area());
        shared / (self.area() + other.area() - shared)
    }

    /// The share of this box that lies in `other`, 0 to 1.
    pub fn share_in(&self, other: &Self) -> f64 {
        self.intersection(other).map_or(0.0, |shared| shared.area()) / self.area()
    }

    /// The centre, in pixels.
    pub fn center(&self) -> (f64, f64) {
        (f64::from(self.x) + f64::from(self.width) / 2.0, f64::from(self.y) + f64::from(self.height) / 2.0)
    }

    /// The longer side, in pixels.
    pub fn longer_side(&self) -> f64 {
        f64::from(self.width.max(self.height))
    }

    /// The first column to the right of the box.
    pub fn right(&self) -> i32 {
        self.x + self.width
    }

    /// The first row below the box.
    pub fn bottom(&self) -> i32 {
        self.y + self.height
    }

    fn area(&self) -> f64 {
        f64::from(self.width) * f64::from(self.height)
    }
}

impl From<BoundingBox> for Rect {
    fn from(b: BoundingBox) -> Self {
        Rect::new(b.x, b.y, b.width, b.height)
    }
}

impl From<Rect> for BoundingBox {
    fn from(r: Rect) -> Self {
        Self { x: r.x, y: r.y, width: r.width, height: r.height }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_square_grows_by_the_margin_on_each_side_of_the_longer_side() {
        let wide = BoundingBox { x: 10, y: 20, width: 40, height: 20 };
        assert_eq!(wide.square_with_margin(0.0), BoundingBox { x: 10, y: 10, width: 40, height: 40 });
        assert_eq!(wide.square_with_margin(0.25), BoundingBox { x: 0, y: 0, width: 60, height: 60 });
    }

    #[test]
    fn iou_of_half_overlapping_boxes_is_a_third() {
        let left = BoundingBox { x: 0, y: 5, width: 20, height: 7 };
        let right = BoundingBox { x: 10, y: 5, width: 20, height: 7 };
        assert!((left.iou(&right) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(left.iou(&left), 1.0);
        assert_eq!(left.iou(&BoundingBox { x: 20, y: 5, width: 1, height: 1 }), 0.0);
    }

    #[test]
    fn the_share_in_another_box_is_that_of_the_own_area() {
        let part = BoundingBox { x: 12, y: 5, width: 10, height: 4 };
        let whole = BoundingBox { x: 0, y: 3, width: 20, height: 30 };
        assert!((part.share_in(&whole) - 0.8).abs() < 1e-12);
        assert!((whole.share_in(&part) - 32.0 / 600.0).abs() < 1e-12);
        assert_eq!(part.share_in(&BoundingBox { x: 22, ..part }), 0.0);
    }

    proptest! {
        #[test]
        fn the_square_holds_its_box_and_keeps_its_centre(
            x in -50..5000, y in -50..5000, width in 1..3000, height in 1..3000, margin in 0.0..1.0,
        ) {
            let face = BoundingBox { x, y, width, height };
            let square = face.square_with_margin(margin);
            prop_assert_eq!(square.width, square.height);
            // Rounding moves an edge by at most a pixel.
            prop_assert!(square.x <= face.x + 1 && square.right() >= face.right() - 1);
            prop_assert!(square.y <= face.y + 1 && square.bottom() >= face.bottom() - 1);
            prop_assert!((2 * square.x + square.width - 2 * face.x - face.width).abs() <= 2);
            prop_assert!((2 * square.y + square.height - 2 * face.y - face.height).abs() <= 2);
        }
    }
}
