//! Reads faces from the maps of CenterFace (Xu et al. 2020, arXiv:1911.03599).
//!
//! A cell of the maps stands for 4x4 pixels of the network's picture. Each face is a peak of the heat map. At the peak, the
//! other maps hold the size of the box, the offset of its centre within the cell, and five landmarks relative to the box.

use opencv::core::Size2f;

use crate::faces::Landmarks;

/// Pixels of the network's picture per cell of its maps, in both directions.
pub(super) const CELL_PX: usize = 4;

/// Channels of the heat map, of the sizes, of the offsets and of the landmarks.
pub(super) const CHANNELS: [usize; 4] = [1, 2, 2, 10];

/// Intersection over union from which two boxes are the same face. The value is that of the published decoder.
const SAME_FACE_IOU: f32 = 0.3;

/// The network's four outputs, each channel by channel and row by row, with as many values as [`CHANNELS`] says for each cell.
pub(super) struct Maps<'a> {
    pub columns: usize,
    pub rows: usize,
    /// How likely a face's centre lies in the cell, 0 to 1.
    pub heat: &'a [f32],
    /// Logarithm of the box's height, then of its width, in cells.
    pub sizes: &'a [f32],
    /// From the cell's middle to the centre of the box, y then x, in cells.
    pub offsets: &'a [f32],
    /// From the upper left corner of the box, y then x for each point, as fractions of the box's height and width.
    pub landmarks: &'a [f32],
}

/// A face as the network marks it: a box of the visible face, from the brow to the chin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Face {
    pub left: f32,
    pub top: f32,
    pub width: f32,
    pub height: f32,
    pub confidence: f32,
    pub landmarks: Landmarks,
}

impl Maps<'_> {
    /// Writes the faces of at least `min_confidence`, the surest first, each once.
    ///
    /// They are in pixels of the frame: `pixels` is the size of a pixel of the network's picture there.
    pub fn write_faces(&self, min_confidence: f32, pixels: Size2f, faces: &mut Vec<Face>) {
        let cells = self.columns * self.rows;
        let peaks = (0..cells).filter(|cell| (min_confidence..=1.0).contains(&self.heat[*cell]));
        faces.clear();
        faces.extend(peaks.filter_map(|cell| self.face(cell, pixels)));
        faces.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        suppress_repeated(faces);
    }

    /// `None` where a number of a damaged network is not finite.
    fn face(&self, cell: usize, pixels: Size2f) -> Option<Face> {
        let cells = self.columns * self.rows;
        let value = |map: &[f32], channel: usize| map[channel * cells + cell];
        let cell_px = CELL_PX as f32;
        let [height, width] = [0, 1].map(|channel| value(self.sizes, channel).exp() * cell_px);
        let center_x = ((cell % self.columns) as f32 + 0.5 + value(self.offsets, 1)) * cell_px;
        let center_y = ((cell / self.columns) as f32 + 0.5 + value(self.offsets, 0)) * cell_px;
        // The published decoder clips the corner to the picture before it adds the landmarks to it.
        let left = (center_x - width / 2.0).clamp(0.0, self.columns as f32 * cell_px);
        let top = (center_y - height / 2.0).clamp(0.0, self.rows as f32 * cell_px);
        let point = |n: usize| {
            let y = top + value(self.landmarks, 2 * n) * height;
            let x = left + value(self.landmarks, 2 * n + 1) * width;
            (x * pixels.width, y * pixels.height)
        };
        let face = Face {
            left: (center_x - width / 2.0) * pixels.width,
            top: (center_y - height / 2.0) * pixels.height,
            width: width * pixels.width,
            height: height * pixels.height,
            confidence: value(self.heat, 0),
            landmarks: Landmarks([0, 1, 2, 3, 4].map(point)),
        };
        face.is_finite().then_some(face)
    }
}

impl Face {
    fn is_finite(&self) -> bool {
        let numbers = [self.left, self.top, self.width, self.height, self.confidence];
        numbers.into_iter().chain(self.landmarks.0.into_iter().flat_map(|(x, y)| [x, y])).all(f32::is_finite)
    }

    fn iou(&self, other: &Self) -> f32 {
        let overlap = |begin: f32, length: f32, other_begin: f32, other_length: f32| {
            ((begin + length).min(other_begin + other_length) - begin.max(other_begin)).max(0.0)
        };
        let shared = overlap(self.left, self.width, other.left, other.width)
            * overlap(self.top, self.height, other.top, other.height);
        shared / (self.width * self.height + other.width * other.height - shared)
    }
}

/// Keeps the surest of all boxes that mark the same face. `faces` begin with the surest one.
fn suppress_repeated(faces: &mut Vec<Face>) {
    let mut kept = 0;
    for position in 0..faces.len() {
        if faces[..kept].iter().all(|better| better.iou(&faces[position]) < SAME_FACE_IOU) {
            faces.swap(kept, position);
            kept += 1;
        }
    }
    faces.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 9;
    const ROWS: usize = 5;

    /// Maps without a face, neither square nor symmetric.
    struct Empty {
        maps: [Vec<f32>; 4],
    }

    impl Empty {
        fn new() -> Self {
            Self { maps: CHANNELS.map(|channels| vec![0.0; channels * ROWS * COLUMNS]) }
        }

        fn set(&mut self, map: usize, channel: usize, (column, row): (usize, usize), value: f32) {
            self.maps[map][(channel * ROWS + row) * COLUMNS + column] = value;
        }

        fn faces(&self, min_confidence: f32, pixels: Size2f) -> Vec<Face> {
            let [heat, sizes, offsets, landmarks] = self.maps.each_ref().map(Vec::as_slice);
            let mut faces = Vec::new();
            let maps = Maps { columns: COLUMNS, rows: ROWS, heat, sizes, offsets, landmarks };
            maps.write_faces(min_confidence, pixels, &mut faces);
            faces
        }
    }

    const SAME_SIZE: Size2f = Size2f { width: 1.0, height: 1.0 };

    #[test]
    fn a_peak_gives_box_and_landmarks_in_the_pixels_of_the_frame() {
        let mut maps = Empty::new();
        let cell = (6, 2);
        maps.set(0, 0, cell, 0.8);
        // 8 px high, 4 px wide; the centre is half a cell below and a quarter of a cell to the left of the cell's middle.
        maps.set(1, 0, cell, 2.0_f32.ln());
        maps.set(2, 0, cell, 0.5);
        maps.set(2, 1, cell, -0.25);
        for point in 0..5 {
            maps.set(3, 2 * point, cell, 0.1 * point as f32);
            maps.set(3, 2 * point + 1, cell, 0.5);
        }
        let faces = maps.faces(0.5, Size2f::new(10.0, 2.0));
        let [face] = faces[..] else { panic!("{faces:?}") };
        assert_eq!((face.left, face.top), ((25.0 - 2.0) * 10.0, (12.0 - 4.0) * 2.0));
        assert_eq!((face.width, face.height, face.confidence), (40.0, 16.0, 0.8));
        for (point, (x, y)) in face.landmarks.0.iter().enumerate() {
            assert!(
                (x - 250.0).abs() < 1e-3 && (y - (8.0 + 0.8 * point as f32) * 2.0).abs() < 1e-3,
                "{point}: {x}, {y}"
            );
        }
    }

    #[test]
    fn of_overlapping_boxes_the_surest_is_kept() {
        let mut maps = Empty::new();
        for (cell, confidence) in [((2, 1), 0.6), ((3, 1), 0.9), ((8, 4), 0.7), ((0, 4), 0.4)] {
            maps.set(0, 0, cell, confidence);
            maps.set(1, 0, cell, 3.0_f32.ln());
            maps.set(1, 1, cell, 3.0_f32.ln());
        }
        let confidences = |min| maps.faces(min, SAME_SIZE).iter().map(|face| face.confidence).collect::<Vec<_>>();
        assert_eq!(confidences(0.5), [0.9, 0.7]);
        assert_eq!(confidences(0.3), [0.9, 0.7, 0.4]);
    }

    #[test]
    fn numbers_that_are_not_finite_make_no_face() {
        for (map, channel, value) in
            [(0, 0, f32::NAN), (1, 0, 200.0), (1, 1, f32::NAN), (2, 1, f32::INFINITY), (3, 7, f32::NAN)]
        {
            let mut maps = Empty::new();
            maps.set(0, 0, (4, 3), 0.9);
            assert_eq!(maps.faces(0.5, SAME_SIZE).len(), 1);
            maps.set(map, channel, (4, 3), value);
            assert_eq!(maps.faces(0.5, SAME_SIZE), [], "map {map}, channel {channel}");
        }
    }
}
