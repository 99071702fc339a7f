//! Runs CenterFace, with one execution plan for each size of picture: in kernels if they agree with tract, otherwise in tract.
//! A run can pause between two operators.

use std::array;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use opencv::core::{Size, Vec3b, VecN};
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::tract_ndarray::Axis;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::{OutletId, TypedSimpleState};

use super::decode::{CELL_PX, CHANNELS, Maps};
use crate::network::{Kernels, ModelProblem, Progress, RunError, agree, can_run, check_outputs, check_shape, noise};
use crate::panics::catch_panic;

/// How many plans each user of the network keeps. A plan has a copy of the weights, about 8 MB, which all users share that have
/// pictures of its size. A camera needs three: two for its frames and one for windows. For a folder of photographs of many sizes,
/// plans are made again.
const MAX_PLANS: usize = 4;

/// Size of the picture on which a file is tried, in pixels: not square, so that exchanged sides show, and so large that the
/// kernels run the first steps band by band.
const TRIAL_SIZE: Size = Size { width: 192, height: 128 };

/// The network, and its plans for the sizes that this user asked for lately. Clones are other users, which share the network and
/// all plans that at least one of them keeps.
#[derive(Clone)]
pub(super) struct Plans {
    network: Arc<Network>,
    /// The one that was used last is the last one.
    plans: Vec<Arc<Plan>>,
}

/// What plans are made of.
struct Network {
    proto: ModelProto,
    /// Whether the kernels can run it; otherwise tract does.
    has_kernels: bool,
    /// The plans of all users.
    made: Mutex<Vec<Weak<Plan>>>,
}

impl fmt::Debug for Plans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.sizes().collect();
        f.debug_struct("Plans").field("input_sizes", &sizes).finish_non_exhaustive()
    }
}

impl Plans {
    /// Reads an ONNX file and tries it on a small picture.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelProblem> {
        // tract panics in many places where a graph is damaged.
        catch_panic(|| {
            let proto = read(bytes)?;
            let numbers = noise(3 * TRIAL_SIZE.area() as usize);
            let picture: Vec<_> = numbers.as_chunks().0.iter().map(|bgr| Vec3b::from(*bgr)).collect();
            let run = |plan: Plan| Arc::new(plan).begin(&picture).and_then(Run::finish).map_err(ModelProblem::Trial);
            let in_tract = run(Plan::in_tract(&proto, TRIAL_SIZE)?)?;
            in_tract.read(check_heat).flatten().map_err(ModelProblem::Trial)?;
            let has_kernels = match Plan::in_kernels(&proto, TRIAL_SIZE) {
                Some(plan) => can_run(
                    "the search network",
                    Arc::new(plan).begin(&picture).and_then(Run::finish).and_then(|run| run.agrees_with(&in_tract)),
                ),
                None => false,
            };
            let network = Arc::new(Network { proto, has_kernels, made: Mutex::default() });
            Ok(Self { network, plans: Vec::new() })
        })
        .unwrap_or_else(|panic| Err(ModelProblem::Unsupported(panic)))
    }

    /// The sizes that have a plan.
    pub fn sizes(&self) -> impl Iterator<Item = Size> {
        self.plans.iter().map(|plan| plan.size)
    }

    /// Begins to run the network on a picture of this `size`: blue, green, red, row by row without padding. Its sides are
    /// multiples of 32.
    pub fn begin(&mut self, size: Size, bgr: &[Vec3b]) -> Result<Run, RunError> {
        self.plan(size).map_err(|problem| RunError::Tract(problem.to_string()))?.begin(bgr)
    }

    /// Keeps the plan for pictures of this `size`, and says whether it had to be made, because no user had it.
    pub fn keep(&mut self, size: Size) -> Result<bool, ModelProblem> {
        let is_made = find(&self.network.made(), size).is_none();
        self.plan(size)?;
        Ok(is_made)
    }

    /// The plan for pictures of this `size`.
    fn plan(&mut self, size: Size) -> Result<&Arc<Plan>, ModelProblem> {
        let position = match self.plans.iter().position(|plan| plan.size == size) {
            Some(position) => position,
            None => {
                let plan = self.network.plan(size)?;
                if self.plans.len() == MAX_PLANS {
                    self.plans.remove(0);
                }
                self.plans.push(plan);
                self.plans.len() - 1
            }
        };
        let last = self.plans.len() - 1;
        self.plans[position..].rotate_left(1);
        Ok(&self.plans[last])
    }
}

impl Network {
    fn made(&self) -> MutexGuard<'_, Vec<Weak<Plan>>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The plan for pictures of this `size`, of which there is one for all users. While it is made, others wait who need one that
    /// they do not keep.
    fn plan(&self, size: Size) -> Result<Arc<Plan>, ModelProblem> {
        let mut made = self.made();
        if let Some(plan) = find(&made, size) {
            return Ok(plan);
        }
        let in_kernels = if self.has_kernels { Plan::in_kernels(&self.proto, size) } else { None };
        let plan = match in_kernels {
            Some(plan) => plan,
            None => catch_panic(|| Plan::in_tract(&self.proto, size)).map_err(ModelProblem::Unsupported)??,
        };
        let plan = Arc::new(plan);
        made.retain(|plan| plan.strong_count() > 0);
        made.push(Arc::downgrade(&plan));
        Ok(plan)
    }
}

fn find(made: &[Weak<Plan>], size: Size) -> Option<Arc<Plan>> {
    made.iter().filter_map(Weak::upgrade).find(|plan| plan.size == size)
}

/// The network for pictures of one size.
pub(super) struct Plan {
    size: Size,
    engine: Engine,
}

/// What runs the network.
enum Engine {
    Kernels(Arc<Kernels>),
    Tract { network: Arc<TypedRunnableModel>, steps: Vec<Step> },
}

/// An operator of the network.
struct Step {
    node: usize,
    /// The share of a run's time that has passed after this step, 0 to 1.
    done: f64,
    /// The nodes whose values no later step reads.
    read_last: Vec<usize>,
}

impl Step {
    fn run(&self, state: &mut TypedSimpleState) -> TractResult<()> {
        state.compute_one(self.node)?;
        for node in &self.read_last {
            state.turn_state.values[*node] = None;
        }
        Ok(())
    }
}

impl Plan {
    fn in_kernels(proto: &ModelProto, size: Size) -> Option<Self> {
        let [width, height] = [size.width, size.height].map(|side| side as usize);
        let kernels = Kernels::translate(proto, [3, height, width], [0.0, 255.0])?;
        Some(Self { size, engine: Engine::Kernels(kernels) })
    }

    fn in_tract(proto: &ModelProto, size: Size) -> Result<Self, ModelProblem> {
        let unsupported = |error: TractError| ModelProblem::Unsupported(format!("{error:#}"));
        let [width, height] = [size.width, size.height].map(|side| side as usize);
        let shape = [1, 3, height, width];
        let network = inference_model(proto)?
            .with_input_fact(0, f32::fact(shape).into())
            .and_then(|network| network.into_optimized())
            .map_err(unsupported)?;
        let (columns, rows) = (width / CELL_PX, height / CELL_PX);
        let names = ["the heat map", "the map of sizes", "the map of offsets", "the map of landmarks"];
        for (output, (name, channels)) in names.into_iter().zip(CHANNELS).enumerate() {
            let fact = network.output_fact(output).map_err(unsupported)?;
            check_shape(name, fact, &[1, channels, rows, columns])?;
        }
        let network = network.into_runnable().map_err(unsupported)?;
        let mut steps = steps(&network).map_err(unsupported)?;
        time_steps(&network, &mut steps, &shape).map_err(ModelProblem::Trial)?;
        Ok(Self { size, engine: Engine::Tract { network, steps } })
    }

    fn begin(self: &Arc<Self>, bgr: &[Vec3b]) -> Result<Run, RunError> {
        let (expected, got) = (self.size.area() as usize, bgr.len());
        if got != expected {
            return Err(RunError::PixelCount { expected, got });
        }
        let state = match &self.engine {
            Engine::Kernels(kernels) => State::Kernels(kernels.begin(|row, line| {
                let width = self.size.width as usize;
                for (rgb, VecN([blue, green, red])) in line.chunks_exact_mut(3).zip(&bgr[row * width..]) {
                    rgb[0] = f32::from(*red);
                    rgb[1] = f32::from(*green);
                    rgb[2] = f32::from(*blue);
                }
            })),
            Engine::Tract { network, .. } => {
                let mut state = network.spawn()?;
                state.set_input(0, self.input(bgr)?.into_tvalue())?;
                State::Tract { state, steps_done: 0 }
            }
        };
        Ok(Run { plan: Arc::clone(self), state })
    }

    /// The picture as tract takes it, `[1, 3, height, width]`: red, green, blue, 0 to 255.
    fn input(&self, bgr: &[Vec3b]) -> Result<Tensor, RunError> {
        let mut tensor = Tensor::zero::<f32>(&[1, 3, self.size.height as usize, self.size.width as usize])?;
        let mut view = tensor.to_plain_array_view_mut::<f32>()?;
        for (color, mut plane) in view.axis_iter_mut(Axis(1)).enumerate() {
            for (value, pixel) in plane.iter_mut().zip(bgr) {
                *value = f32::from(pixel[2 - color]);
            }
        }
        Ok(tensor)
    }
}

/// Measures the steps on a black picture, so that the parts of a run take about the same time. What a run finds does not depend
/// on it.
fn time_steps(network: &Arc<TypedRunnableModel>, steps: &mut [Step], shape: &[usize]) -> Result<(), RunError> {
    let mut state = network.spawn()?;
    state.set_input(0, Tensor::zero::<f32>(shape)?.into_tvalue())?;
    let begin = Instant::now();
    let mut passed = Vec::with_capacity(steps.len());
    for step in &*steps {
        step.run(&mut state)?;
        passed.push(begin.elapsed().as_secs_f64());
    }
    let total = passed.last().copied().unwrap_or_default();
    for (step, passed) in steps.iter_mut().zip(passed) {
        step.done = if total > 0.0 { passed / total } else { 1.0 };
    }
    Ok(())
}

/// The operators in the order in which tract runs them.
fn steps(network: &TypedRunnableModel) -> TractResult<Vec<Step>> {
    let graph = network.model();
    let order = network.order_without_consts();
    let outputs: Vec<OutletId> = graph.output_outlets()?.to_vec();
    let mut steps: Vec<Step> = Vec::with_capacity(order.len());
    for (position, node) in order.iter().enumerate() {
        let is_read_later = |source: usize| {
            let later = order[position + 1..].iter().flat_map(|later| &graph.node(*later).inputs);
            later.chain(&outputs).any(|outlet| outlet.node == source)
        };
        let inputs = graph.node(*node).inputs.iter().map(|outlet| outlet.node);
        let read_last = inputs.filter(|source| order.contains(source) && !is_read_later(*source)).collect();
        steps.push(Step { node: *node, done: 0.0, read_last });
    }
    Ok(steps)
}

/// A picture on its way through the network.
pub(super) struct Run {
    plan: Arc<Plan>,
    state: State,
}

enum State {
    Kernels(Progress),
    Tract { state: TypedSimpleState, steps_done: usize },
}

impl Run {
    /// Goes on until `share` of the whole run is done, 0 to 1.
    pub fn advance(&mut self, share: f64) -> Result<(), RunError> {
        match (&mut self.state, &self.plan.engine) {
            (State::Kernels(progress), _) => catch_panic(|| progress.advance(share)).map_err(RunError::Kernels)?,
            (State::Tract { state, steps_done }, Engine::Tract { steps, .. }) => {
                // tract panics where an operator meets what it does not expect.
                catch_panic(|| {
                    while let Some(step) = steps.get(*steps_done).filter(|step| step.done <= share) {
                        step.run(state)?;
                        *steps_done += 1;
                    }
                    Ok::<_, RunError>(())
                })
                .map_err(RunError::Tract)??;
            }
            (State::Tract { .. }, Engine::Kernels(_)) => {}
        }
        Ok(())
    }

    /// Goes on until the end.
    pub fn finish(mut self) -> Result<Self, RunError> {
        self.advance(1.0)?;
        Ok(self)
    }

    /// Lets `read` see what the network made of the picture.
    pub fn read<T>(&self, read: impl FnOnce(&Maps) -> T) -> Result<T, RunError> {
        match &self.state {
            State::Kernels(progress) => {
                let unfinished = || RunError::Tract("its outputs are read before its end".to_owned());
                let outputs = progress.outputs().ok_or_else(unfinished)?;
                let maps: [&[f32]; 4] = array::from_fn(|map| outputs.get(map).map_or(&[][..], Vec::as_slice));
                self.read_maps(&maps, read)
            }
            State::Tract { state, .. } => {
                let outputs =
                    (0..CHANNELS.len()).map(|output| state.output(output)).collect::<TractResult<Vec<_>>>()?;
                let views = outputs.iter().map(|output| output.to_plain_array_view::<f32>());
                let views = views.collect::<TractResult<Vec<_>>>()?;
                // The rows of an output may lie in another order in memory than one after the other.
                let maps: Vec<_> = views.iter().map(|view| view.as_standard_layout()).collect();
                self.read_maps(&maps.iter().filter_map(|map| map.as_slice()).collect::<Vec<_>>(), read)
            }
        }
    }

    fn read_maps<T>(&self, slices: &[&[f32]], read: impl FnOnce(&Maps) -> T) -> Result<T, RunError> {
        let [heat, sizes, offsets, landmarks] = *slices else {
            return Err(RunError::Tract(format!("{} outputs, expected 4", slices.len())));
        };
        let [columns, rows] = [self.plan.size.width, self.plan.size.height].map(|side| side as usize / CELL_PX);
        Ok(read(&Maps { columns, rows, heat, sizes, offsets, landmarks }))
    }

    fn agrees_with(&self, other: &Self) -> Result<bool, RunError> {
        other.read(|theirs| {
            self.read(|ours| {
                agree(
                    "the search network",
                    &[
                        (theirs.heat, ours.heat),
                        (theirs.sizes, ours.sizes),
                        (theirs.offsets, ours.offsets),
                        (theirs.landmarks, ours.landmarks),
                    ],
                )
            })
        })?
    }
}

/// Parses the file.
fn read(bytes: &[u8]) -> Result<ModelProto, ModelProblem> {
    let proto = tract_onnx::onnx()
        .proto_model_for_read(&mut &*bytes)
        .map_err(|error| ModelProblem::NotOnnx(format!("{error:#}")))?;
    check_outputs(&proto)?;
    Ok(proto)
}

/// tract's graph of the file. The file's input size and output sizes are examples of PyTorch's export: the network takes any size.
fn inference_model(proto: &ModelProto) -> Result<InferenceModel, ModelProblem> {
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let network = onnx.model_for_proto_model(proto).map_err(|error| ModelProblem::Unsupported(format!("{error:#}")))?;
    let (inputs, outputs) = (network.inputs.len(), network.outputs.len());
    if (inputs, outputs) != (1, CHANNELS.len()) {
        let expected = format!("1 input and {} outputs", CHANNELS.len());
        return Err(ModelProblem::Shape { tensor: "the graph", expected, got: format!("{inputs} and {outputs}") });
    }
    Ok(network)
}

fn check_heat(maps: &Maps) -> Result<(), RunError> {
    match maps.heat.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        Some(value) => Err(RunError::NotHeat { value: *value }),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
