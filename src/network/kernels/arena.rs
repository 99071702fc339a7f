//! The working memory of a run: maps that are not needed at the same time share it.

use std::mem;
use std::ops::Range;

use super::graph::{MapId, Shape};

/// The cache line and the longest vector, in bytes.
const ALIGNMENT: usize = 64;

/// Where a map lies in its slot: channels-last rows with a border of zeros. The rows of the border count.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub shape: Shape,
    /// From one pixel to the next: the number of channels, with those that are 0.
    pub step: usize,
    /// Width of the border: top, left, bottom, right.
    pub border: [usize; 4],
    /// How many rows the slot holds: all, or a band that moves down the map.
    pub held_rows: usize,
    /// The first row that the slot holds.
    pub first_row: usize,
    pub slot: usize,
}

/// Rows that a band keeps when it moves down: they lie at `from` in the slot, and go to its start.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    pub from: usize,
    pub len: usize,
}

impl Layout {
    /// The whole map, without a border.
    pub fn whole(shape: Shape, step: usize) -> Self {
        Self { shape, step, border: [0; 4], held_rows: shape.height, first_row: 0, slot: 0 }
    }

    /// Sets the width of the border around a map that is held as a whole.
    pub fn set_border(&mut self, border: [usize; 4]) {
        self.border = border;
        self.held_rows = border[0] + self.shape.height + border[2];
    }

    /// From one row to the next.
    pub fn row_step(&self) -> usize {
        (self.border[1] + self.shape.width + self.border[3]) * self.step
    }

    /// Where a pixel of the map is, in a row that the slot holds.
    pub fn pixel(&self, row: usize, column: usize) -> usize {
        self.window(row, [0; 2]) + column * self.step
    }

    /// Where a window begins, this far above a row and to the left of its first pixel.
    pub fn window(&self, row: usize, [above, left]: [usize; 2]) -> usize {
        let rows = self.border[0] + row - above - self.first_row;
        rows * self.row_step() + (self.border[1] - left) * self.step
    }

    pub fn len(&self) -> usize {
        self.held_rows * self.row_step()
    }

    /// Writes the zeros of the border at these rows of the map, which another map may have written over.
    fn clear_border(&self, map: &mut [f32], rows: &Range<usize>) {
        let [top, left, bottom, right] = self.border;
        if self.border == [0; 4] {
            return;
        }
        let (width, start) = (self.row_step(), self.pixel(rows.start, 0) - left * self.step);
        if rows.start == 0 {
            map[start - top * width..start].fill(0.0);
        }
        let (written, below) = map[start..].split_at_mut(rows.len() * width);
        if rows.end == self.shape.height {
            below[..bottom * width].fill(0.0);
        }
        for row in written.chunks_exact_mut(width) {
            row[..left * self.step].fill(0.0);
            row[width - right * self.step..].fill(0.0);
        }
    }
}

/// Assigns slots to maps, in the order in which the maps are written.
#[derive(Debug, Default)]
pub struct Slots {
    sizes: Vec<usize>,
    /// The one that was freed last is the last one: it is most likely still in the cache.
    free: Vec<usize>,
}

impl Slots {
    pub fn take(&mut self, size: usize) -> usize {
        let large_enough = self.free.iter().rposition(|slot| self.sizes[*slot] >= size);
        let largest = || (0..self.free.len()).max_by_key(|free| self.sizes[self.free[*free]]);
        let slot = match large_enough.or_else(largest) {
            Some(free) => self.free.remove(free),
            None => {
                self.sizes.push(0);
                self.sizes.len() - 1
            }
        };
        self.sizes[slot] = self.sizes[slot].max(size);
        slot
    }

    pub fn release(&mut self, slot: usize) {
        self.free.push(slot);
    }

    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }
}

/// The slots' memory, and the outputs.
#[derive(Default)]
pub struct Arena {
    slots: Vec<Slot>,
    /// What a step needs besides its maps.
    scratch: Slot,
    outputs: Vec<Vec<f32>>,
}

#[derive(Default)]
struct Slot {
    memory: Vec<f32>,
    /// The first aligned number.
    start: usize,
}

impl Slot {
    fn new(size: usize) -> Self {
        if size == 0 {
            return Self::default();
        }
        let lanes = ALIGNMENT / size_of::<f32>();
        let memory = vec![0.0; size + lanes];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(lanes);
        Self { memory, start }
    }
}

impl Arena {
    pub fn new(sizes: &[usize], scratch: usize, outputs: impl Iterator<Item = usize>) -> Self {
        let slots = sizes.iter().map(|size| Slot::new(*size)).collect();
        Self { slots, scratch: Slot::new(scratch), outputs: outputs.map(|size| vec![0.0; size]).collect() }
    }

    pub fn outputs(&self) -> &[Vec<f32>] {
        &self.outputs
    }

    /// A map that was written.
    pub fn map(&self, layout: &Layout) -> &[f32] {
        let Slot { memory, start } = &self.slots[layout.slot];
        &memory[*start..][..layout.len()]
    }

    /// Lets `write` write some rows of a map, with a border of zeros around it, and read others, which are not in its
    /// slot. Its last argument is the scratch memory.
    pub fn write(
        &mut self,
        layout: &Layout,
        rows: &Range<usize>,
        kept: Option<Kept>,
        write: impl FnOnce(&Self, &mut [f32], &mut [f32]),
    ) {
        let mut slot = mem::take(&mut self.slots[layout.slot]);
        let mut scratch = mem::take(&mut self.scratch);
        let map = &mut slot.memory[slot.start..][..layout.len()];
        if let Some(Kept { from, len }) = kept {
            map.copy_within(from..from + len, 0);
        }
        layout.clear_border(map, rows);
        write(self, map, &mut scratch.memory[scratch.start..]);
        self.slots[layout.slot] = slot;
        self.scratch = scratch;
    }

    /// Copies a map to an output: `[channels][height][width]`.
    pub fn export(&mut self, layout: &Layout, output: MapId) {
        let mut values = mem::take(&mut self.outputs[output]);
        let map = self.map(layout);
        let Shape { height, width, channels } = layout.shape;
        for (channel, plane) in values.chunks_exact_mut(height * width).enumerate().take(channels) {
            for (row, line) in plane.chunks_exact_mut(width).enumerate() {
                let first = layout.pixel(row, 0) + channel;
                for (value, source) in line.iter_mut().zip(map[first..].iter().step_by(layout.step)) {
                    *value = *source;
                }
            }
        }
        self.outputs[output] = values;
    }
}
