//! Runs CenterFace in tract, with one execution plan for each size of picture.

use std::sync::Arc;

use opencv::core::{Size, Vec3b};
use tract_onnx::prelude::tract_ndarray::Axis;
use tract_onnx::prelude::*;

use super::decode::{CELL_PX, CHANNELS, Maps};
use crate::network::{ModelProblem, RunError, check_outputs, check_shape};
use crate::panics::catch_panic;

/// How many plans are kept. Each holds a copy of the weights, about 8 MB. A camera needs one or two. A folder of photographs has
/// more sizes, but making a plan takes about as long as running it.
const MAX_PLANS: usize = 4;

/// Size of the picture on which a file is tried, in pixels: not square, so that exchanged sides show.
const TRIAL_SIZE: Size = Size { width: 96, height: 64 };

/// The network, and its plans for the sizes that were asked for lately.
pub(super) struct Plans {
    network: InferenceModel,
    /// The one that was used last is the last one.
    plans: Vec<Plan>,
}

impl Plans {
    /// Reads an ONNX file and tries it on a small picture.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelProblem> {
        // tract panics in many places where a graph is damaged.
        catch_panic(|| {
            let network = read(bytes)?;
            let black = vec![Vec3b::default(); TRIAL_SIZE.area() as usize];
            let trial = Plan::new(&network, TRIAL_SIZE)?.run(&black, check_heat);
            trial.and_then(|heat| heat).map_err(ModelProblem::Trial)?;
            Ok(Self { network, plans: Vec::new() })
        })
        .unwrap_or_else(|panic| Err(ModelProblem::Unsupported(panic)))
    }

    /// The sizes that have a plan.
    pub fn sizes(&self) -> impl Iterator<Item = Size> {
        self.plans.iter().map(|plan| plan.size)
    }

    /// Lets `read` see what the network makes of a picture of this `size`: blue, green, red, row by row without padding. Its sides
    /// are multiples of 32.
    pub fn run<T>(&mut self, size: Size, bgr: &[Vec3b], read: impl FnOnce(&Maps) -> T) -> Result<T, RunError> {
        // A plan that panicked stays out of the list.
        let mut plan = match self.plans.iter().position(|plan| plan.size == size) {
            Some(known) => self.plans.remove(known),
            None => catch_panic(|| Plan::new(&self.network, size))
                .map_err(RunError::Tract)?
                .map_err(|problem| RunError::Tract(problem.to_string()))?,
        };
        let result = catch_panic(|| plan.run(bgr, read)).map_err(RunError::Tract)?;
        if self.plans.len() == MAX_PLANS {
            self.plans.remove(0);
        }
        self.plans.push(plan);
        result
    }
}

/// The network for pictures of one size.
struct Plan {
    size: Size,
    network: Arc<TypedRunnableModel>,
    /// The picture as the network takes it, `[1, 3, height, width]`: red, green, blue, 0 to 255. Each run uses its memory again.
    input: Arc<Tensor>,
}

impl Plan {
    fn new(network: &InferenceModel, size: Size) -> Result<Self, ModelProblem> {
        let unsupported = |error: TractError| ModelProblem::Unsupported(format!("{error:#}"));
        let [width, height] = [size.width, size.height].map(|side| side as usize);
        let shape = [1, 3, height, width];
        let network = network
            .clone()
            .with_input_fact(0, f32::fact(shape).into())
            .and_then(|network| network.into_optimized())
            .map_err(unsupported)?;
        let (columns, rows) = (width / CELL_PX, height / CELL_PX);
        let names = ["the heat map", "the map of sizes", "the map of offsets", "the map of landmarks"];
        for (output, (name, channels)) in names.into_iter().zip(CHANNELS).enumerate() {
            let fact = network.output_fact(output).map_err(unsupported)?;
            check_shape(name, fact, &[1, channels, rows, columns])?;
        }
        let input = Tensor::zero::<f32>(&shape).map_err(unsupported)?;
        Ok(Self { size, network: network.into_runnable().map_err(unsupported)?, input: Arc::new(input) })
    }

    fn run<T>(&mut self, bgr: &[Vec3b], read: impl FnOnce(&Maps) -> T) -> Result<T, RunError> {
        self.fill_input(bgr)?;
        let outputs = self.network.run(tvec!(TValue::from_const(Arc::clone(&self.input))))?;
        let views =
            outputs.iter().map(|output| output.to_plain_array_view::<f32>()).collect::<TractResult<Vec<_>>>()?;
        // The rows of an output may lie in another order in memory than one after the other.
        let maps: Vec<_> = views.iter().map(|view| view.as_standard_layout()).collect();
        let slices: Vec<&[f32]> = maps.iter().filter_map(|map| map.as_slice()).collect();
        let [heat, sizes, offsets, landmarks] = slices[..] else {
            return Err(RunError::Tract(format!("{} outputs, expected 4", slices.len())));
        };
        let [columns, rows] = [self.size.width, self.size.height].map(|side| side as usize / CELL_PX);
        Ok(read(&Maps { columns, rows, heat, sizes, offsets, landmarks }))
    }

    /// Copies the picture into the input, one plane for each colour.
    fn fill_input(&mut self, bgr: &[Vec3b]) -> Result<(), RunError> {
        let (expected, got) = (self.size.area() as usize, bgr.len());
        if got != expected {
            return Err(RunError::PixelCount { expected, got });
        }
        // Nobody else holds the tensor between two runs, so this copies nothing.
        let mut input = Arc::make_mut(&mut self.input).to_plain_array_view_mut::<f32>()?;
        for (color, mut plane) in input.axis_iter_mut(Axis(1)).enumerate() {
            for (value, pixel) in plane.iter_mut().zip(bgr) {
                *value = f32::from(pixel[2 - color]);
            }
        }
        Ok(())
    }
}

/// Parses the file. Its input size and output sizes are examples of PyTorch's export: the network takes any size.
fn read(bytes: &[u8]) -> Result<InferenceModel, ModelProblem> {
    let not_onnx = |error: TractError| ModelProblem::NotOnnx(format!("{error:#}"));
    let onnx = tract_onnx::onnx().with_ignore_output_shapes(true).with_ignore_value_info(true);
    let proto = onnx.proto_model_for_read(&mut &*bytes).map_err(not_onnx)?;
    check_outputs(&proto)?;
    let network =
        onnx.model_for_proto_model(&proto).map_err(|error| ModelProblem::Unsupported(format!("{error:#}")))?;
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
