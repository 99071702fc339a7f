//! The working memory of a run: maps that are not needed at the same time share it.

use std::mem;

use super::graph::{MapId, Shape};

/// The cache line and the longest vector, in bytes.
const ALIGNMENT: usize = 64;

/// Where a map lies in its slot: channels-last rows with a border of zeros.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub shape: Shape,
    /// From one pixel to the next: the number of channels, with those that are 0.
    pub step: usize,
    /// Width of the border: top, left, bottom, right.
    pub border: [usize; 4],
    pub slot: usize,
}

impl Layout {
    /// From one row to the next.
    pub fn row_step(&self) -> usize {
        (self.border[1] + self.shape.width + self.border[3]) * self.step
    }

    /// Where the pixel at the top left is.
    pub fn origin(&self) -> usize {
        self.border[0] * self.row_step() + self.border[1] * self.step
    }

    /// Where a pixel of the map is.
    pub fn pixel(&self, row: usize, column: usize) -> usize {
        self.origin() + row * self.row_step() + column * self.step
    }

    pub fn len(&self) -> usize {
        (self.border[0] + self.shape.height + self.border[2]) * self.row_step()
    }

    /// Writes the zeros of the border, which another map may have written over.
    fn clear_border(&self, map: &mut [f32]) {
        let [top, left, bottom, right] = self.border.map(|width| width * self.step);
        if self.border == [0; 4] {
            return;
        }
        let width = left + self.shape.width * self.step + right;
        let (above, rest) = map.split_at_mut(top / self.step * width);
        let (rows, below) = rest.split_at_mut(self.shape.height * width);
        above.fill(0.0);
        below[..bottom / self.step * width].fill(0.0);
        for row in rows.chunks_exact_mut(width) {
            row[..left].fill(0.0);
            row[width - right..].fill(0.0);
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
        let lanes = ALIGNMENT / size_of::<f32>();
        let memory = vec![0.0; size + lanes];
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(lanes);
        Self { memory, start }
    }
}

impl Arena {
    pub fn new(sizes: &[usize], outputs: impl Iterator<Item = usize>) -> Self {
        let slots = sizes.iter().map(|size| Slot::new(*size)).collect();
        Self { slots, outputs: outputs.map(|size| vec![0.0; size]).collect() }
    }

    pub fn outputs(&self) -> &[Vec<f32>] {
        &self.outputs
    }

    /// A map that was written.
    pub fn map(&self, layout: &Layout) -> &[f32] {
        let Slot { memory, start } = &self.slots[layout.slot];
        &memory[*start..][..layout.len()]
    }

    /// Lets `write` write a map, with a border of zeros around it, and read others. None of them is in its slot.
    pub fn write(&mut self, layout: &Layout, write: impl FnOnce(&Self, &mut [f32])) {
        let mut slot = mem::take(&mut self.slots[layout.slot]);
        let map = &mut slot.memory[slot.start..][..layout.len()];
        layout.clear_border(map);
        write(self, map);
        self.slots[layout.slot] = slot;
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
