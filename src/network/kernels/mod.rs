//! A network as a short list of steps over maps in one reusable arena, several times faster than tract's general operators.
//!
//! [`Kernels::translate`] reads the ONNX graph of a network of this family: convolutions (dense, depthwise, transposed), batch
//! norms, rectifiers, pools, sums, sigmoid, global mean, softmax. Batch norms, rectifiers and sums become parts of the
//! convolutions before them. Maps lie channels-last with a border of zeros as wide as the next convolution needs. What it does
//! not know stays with tract.

mod arena;
mod bands;
mod graph;
#[cfg(test)]
mod made_tests;
mod onnx;
#[cfg(test)]
mod random_tests;
mod rewrite;
mod run;
mod simd;
mod steps;
#[cfg(test)]
mod tests;
mod winograd;

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use tract_onnx::pb::ModelProto;

use crate::panics::catch_panic;

use arena::Arena;
use graph::Shape;
use simd::Isa;
use steps::Plan;

/// A network that takes a picture of one size. Several threads can run it at once.
pub(crate) struct Kernels {
    plan: Plan,
    /// Working memories that no run uses.
    idle: Mutex<Vec<Arena>>,
}

impl Kernels {
    /// Translates a network for pictures of `[channels, height, width]` whose pixels are in `range`. `None`, said at debug,
    /// where it has what the kernels do not know.
    pub fn translate(proto: &ModelProto, input: [usize; 3], range: [f32; 2]) -> Option<Arc<Self>> {
        // Sizes and weights of a damaged file may disagree in ways that nothing checks.
        catch_panic(|| Self::translate_for(proto, input, range, Isa::fastest()))
            .flatten()
            .inspect_err(|reason| log::debug!("tract's operators run the network: {reason}"))
            .ok()
            .map(Arc::new)
    }

    fn translate_for(
        proto: &ModelProto,
        [channels, height, width]: [usize; 3],
        range: [f32; 2],
        isa: Isa,
    ) -> Result<Self, String> {
        let mut graph = graph::read(proto, Shape { height, width, channels })?;
        rewrite::remove_dead_filters(&mut graph, range);
        rewrite::take_means_first(&mut graph);
        rewrite::compute_in_patches(&mut graph);
        Ok(Self { plan: Plan::new(graph, isa)?, idle: Mutex::default() })
    }

    /// Begins a run with a picture that `write` writes: `[height][width][channels]`, row by row.
    pub fn begin(self: &Arc<Self>, write: impl FnMut(usize, &mut [f32])) -> Progress {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut arena = idle.unwrap_or_else(|| self.plan.arena());
        self.plan.write_input(&mut arena, write);
        Progress { kernels: Arc::clone(self), arena, tasks_done: 0, is_broken: false }
    }
}

/// A picture on its way through the network. When it is dropped, the next run takes its working memory.
pub(crate) struct Progress {
    kernels: Arc<Kernels>,
    arena: Arena,
    tasks_done: usize,
    /// Whether a task has panicked. It has taken a map out of the memory.
    is_broken: bool,
}

impl Progress {
    /// Goes on until `share` of the whole run's work is done, 0 to 1.
    pub fn advance(&mut self, share: f64) {
        let plan = &self.kernels.plan;
        while plan.done_after(self.tasks_done).is_some_and(|done| done <= share) {
            self.is_broken = true;
            plan.run_task(self.tasks_done, &mut self.arena);
            self.is_broken = false;
            self.tasks_done += 1;
        }
    }

    /// Goes on until the end, and returns the outputs, each `[channels][height][width]`.
    pub fn finish(&mut self) -> &[Vec<f32>] {
        self.advance(1.0);
        self.arena.outputs()
    }

    /// The outputs, each `[channels][height][width]`; `None` before the end.
    pub fn outputs(&self) -> Option<&[Vec<f32>]> {
        self.kernels.plan.done_after(self.tasks_done).is_none().then(|| self.arena.outputs())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        // Another run, perhaps of another camera, would fail in it.
        if self.is_broken {
            return;
        }
        self.kernels.idle.lock().unwrap_or_else(PoisonError::into_inner).push(mem::take(&mut self.arena));
    }
}
