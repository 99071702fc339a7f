//! A network as a short list of steps over maps in one reusable arena, several times faster than tract's general operators.
//!
//! [`Kernels::translate`] reads the ONNX graph of a network of this family: convolutions (dense, depthwise, transposed), batch norms,
//! rectifiers, pools, sums, sigmoid, global mean, softmax. Batch norms, rectifiers and sums become parts of the convolutions before
//! them. Maps lie channels-last with a border of zeros as wide as the next convolution needs. What it does not know stays
//! with tract.

mod arena;
mod graph;
mod onnx;
mod run;
mod simd;
mod steps;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

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
    /// Translates a network for pictures of `[channels, height, width]`. `None`, said at debug, where it has what the kernels do not
    /// know.
    pub fn translate(proto: &ModelProto, input: [usize; 3]) -> Option<Self> {
        // Sizes and weights of a damaged file may disagree in ways that nothing checks.
        catch_panic(|| Self::translate_for(proto, input, Isa::fastest()))
            .flatten()
            .inspect_err(|reason| log::debug!("tract's operators run the network: {reason}"))
            .ok()
    }

    fn translate_for(proto: &ModelProto, [channels, height, width]: [usize; 3], isa: Isa) -> Result<Self, String> {
        let graph = graph::read(proto, Shape { height, width, channels })?;
        Ok(Self { plan: Plan::new(graph, isa)?, idle: Mutex::default() })
    }

    /// Begins a run with a picture that `write` writes: `[height][width][channels]`, row by row.
    pub fn begin(&self, write: impl FnMut(usize, &mut [f32])) -> Progress {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut arena = idle.unwrap_or_else(|| self.plan.arena());
        self.plan.write_input(&mut arena, write);
        Progress { arena, steps_done: 0 }
    }

    /// Goes on until `share` of the whole run's work is done, 0 to 1.
    pub fn advance(&self, progress: &mut Progress, share: f64) {
        while self.plan.done_after(progress.steps_done).is_some_and(|done| done <= share) {
            self.plan.run_step(progress.steps_done, &mut progress.arena);
            progress.steps_done += 1;
        }
    }

    /// The outputs of a finished run, each `[channels][height][width]`.
    pub fn outputs<'a>(&self, progress: &'a Progress) -> &'a [Vec<f32>] {
        progress.arena.outputs()
    }

    /// Gives a run's working memory to the next run.
    pub fn recycle(&self, progress: Progress) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(progress.arena);
    }

    /// Runs the whole network on a picture that `write` writes, and lets `read` see the outputs.
    pub fn run<T>(&self, write: impl FnMut(usize, &mut [f32]), read: impl FnOnce(&[Vec<f32>]) -> T) -> T {
        let mut progress = self.begin(write);
        self.advance(&mut progress, 1.0);
        let result = read(self.outputs(&progress));
        self.recycle(progress);
        result
    }
}

/// A picture on its way through the network.
pub(crate) struct Progress {
    arena: Arena,
    steps_done: usize,
}
