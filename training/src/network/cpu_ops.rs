//! The loops of [`kernels`](super::kernels) as operations that burn differentiates.
//!
//! burn's CPU backend computes the gradient of a depth-wise convolution channel by channel, that of any other convolution by a
//! convolution with a window as large as the image, a batch normalization in a dozen passes over memory, and a max-pooling
//! element by element. Together these were most of a training's time. Other backends, and passes without gradient, use burn's
//! own operations.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, binary, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::nn::BatchNorm;
use burn::tensor::module::{conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Tensor, TensorData};

use super::kernels::conv::Convolution;
use super::kernels::{Maps, Window, batch_norm, max_pool};

/// Data of a tensor on the CPU.
type CpuTensor = FloatTensor<Flex>;

/// The tensor's node in the autodiff graph, if it is on the CPU and has one.
fn tracked<const D: usize>(tensor: &Tensor<D>) -> Option<FloatTensor<Autodiff<Flex>>> {
    tensor.clone().try_into_primitive::<Autodiff<Flex>>().ok()
}

fn maps_of(tensor: &CpuTensor) -> Maps {
    Maps::from(tensor.shape().dims())
}

fn cpu_tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> CpuTensor {
    CpuTensor::from_data(TensorData::new(values, shape))
}

/// Convolution without bias: `x` is NCHW, `weight` filters x (channels / groups) x kernel x kernel; the
/// paddings are smaller than the window.
pub fn conv(x: Tensor<4>, weight: Tensor<4>, window: Window, groups: usize) -> Tensor<4> {
    let (Some(tracked_x), Some(tracked_weight)) = (tracked(&x), tracked(&weight)) else {
        let (pads, strides) = (window.pads, [window.stride, window.stride]);
        let padding = [(pads.top, pads.bottom), (pads.left, pads.right)];
        return conv2d(x, weight, None, ConvOptions::new_with_padding(strides, padding, [1, 1], groups));
    };
    let ((x, x_node), (weight, weight_node)) = (tracked_x.into_parts(), tracked_weight.into_parts());
    let (x, weight) = (x.to_contiguous(), weight.to_contiguous());
    let [filters, ..] = weight.shape().dims::<4>();
    let convolution = Convolution { maps: maps_of(&x), filters, groups, window };
    let state = ConvState { x, weight, convolution };
    let output = state.output();
    let step = ConvStep.prepare::<NoCheckpointing>([x_node, weight_node]).compute_bound().stateful();
    Tensor::from_primitive::<Autodiff<Flex>>(match step {
        OpsKind::Tracked(step) => step.finish(state, output),
        OpsKind::UnTracked(step) => step.finish(output),
    })
}

#[derive(Debug)]
struct ConvStep;

#[derive(Clone, Debug)]
struct ConvState {
    x: CpuTensor,
    weight: CpuTensor,
    convolution: Convolution,
}

impl ConvState {
    fn output(&self) -> CpuTensor {
        let values = self.convolution.forward(self.x.storage(), self.weight.storage());
        cpu_tensor(values, self.convolution.output().dims())
    }

    fn x_grad(&self, grad: &CpuTensor) -> CpuTensor {
        let values = self.convolution.x_grad(grad.storage(), self.weight.storage());
        cpu_tensor(values, self.convolution.maps.dims())
    }

    fn weight_grad(&self, grad: &CpuTensor) -> CpuTensor {
        let values = self.convolution.weight_grad(self.x.storage(), grad.storage());
        cpu_tensor(values, self.weight.shape().dims::<4>())
    }
}

impl Backward<Flex, 2> for ConvStep {
    type State = ConvState;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let x_grad = |grad: CpuTensor| state.x_grad(&grad.to_contiguous());
        let weight_grad = |grad: CpuTensor| state.weight_grad(&grad.to_contiguous());
        binary::<Flex, _, _>(ops.parents, ops.node, grads, x_grad, weight_grad);
    }
}

/// Batch normalization by `layer`. With gradients, it uses the statistics of the batch and updates the running ones of the
/// layer.
pub fn batch_norm(layer: &BatchNorm, x: Tensor<4>) -> Tensor<4> {
    let (Some(x), Some(scale), Some(bias)) = (tracked(&x), tracked(&layer.gamma.val()), tracked(&layer.beta.val()))
    else {
        return layer.forward(x);
    };
    let ((x, x_node), (scale, scale_node), (bias, bias_node)) = (x.into_parts(), scale.into_parts(), bias.into_parts());
    let (x, scale, bias) = (x.to_contiguous(), scale.to_contiguous(), bias.to_contiguous());
    let maps = maps_of(&x);
    let epsilon = layer.epsilon as f32;
    let normalized = batch_norm::forward(x.storage(), maps, scale.storage(), bias.storage(), epsilon);
    let (mean, variance) = (normalized.mean, normalized.variance);
    for (running, of_batch) in [(&layer.running_mean, &mean), (&layer.running_var, &variance)] {
        let running_value = running.value_sync();
        let of_batch = Tensor::from_data(TensorData::new(of_batch.clone(), [maps.channels]), &running_value.device());
        running.update(running_value.mul_scalar(1.0 - layer.momentum) + of_batch.mul_scalar(layer.momentum));
    }
    let output = cpu_tensor(normalized.output, maps.dims());
    let nodes = [x_node, scale_node, bias_node];
    Tensor::from_primitive::<Autodiff<Flex>>(
        match BatchNormStep.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(BatchNormState { x, scale, mean, variance, epsilon }, output),
            OpsKind::UnTracked(step) => step.finish(output),
        },
    )
}

#[derive(Debug)]
struct BatchNormStep;

#[derive(Clone, Debug)]
struct BatchNormState {
    x: CpuTensor,
    scale: CpuTensor,
    mean: Vec<f32>,
    variance: Vec<f32>,
    epsilon: f32,
}

impl Backward<Flex, 3> for BatchNormStep {
    type State = BatchNormState;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let BatchNormState { x, scale, mean, variance, epsilon } = ops.state;
        let grad = grads.consume::<Flex>(&ops.node).to_contiguous();
        let maps = maps_of(&x);
        let statistics = (&mean[..], &variance[..]);
        let result = batch_norm::grads(x.storage(), maps, scale.storage(), statistics, epsilon, grad.storage());
        let of_inputs = [
            cpu_tensor(result.x, maps.dims()),
            cpu_tensor(result.scale, [maps.channels]),
            cpu_tensor(result.bias, [maps.channels]),
        ];
        for (node, grad) in ops.parents.into_iter().zip(of_inputs) {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, grad);
            }
        }
    }
}

/// Largest value in each window: `x` is NCHW, the paddings are smaller than the window.
pub fn max_pool(x: Tensor<4>, window: Window) -> Tensor<4> {
    let Some(tracked_x) = tracked(&x) else {
        let (pads, kernel, stride) = (window.pads, window.kernel, window.stride);
        let options = MaxPoolOptions::new([kernel, kernel]).with_stride([stride, stride]);
        return max_pool2d(x, options.with_padding_pairs([(pads.top, pads.bottom), (pads.left, pads.right)]));
    };
    let (x, node) = tracked_x.into_parts();
    let x = x.to_contiguous();
    let maps = maps_of(&x);
    let pooled = max_pool::forward(x.storage(), maps, window);
    let output = cpu_tensor(pooled.output, window.output(maps).dims());
    Tensor::from_primitive::<Autodiff<Flex>>(
        match MaxPoolStep.prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
            OpsKind::Tracked(step) => step.finish(MaxPoolState { maps, window, sources: pooled.sources }, output),
            OpsKind::UnTracked(step) => step.finish(output),
        },
    )
}

#[derive(Debug)]
struct MaxPoolStep;

#[derive(Clone, Debug)]
struct MaxPoolState {
    maps: Maps,
    window: Window,
    sources: Vec<u32>,
}

impl Backward<Flex, 1> for MaxPoolStep {
    type State = MaxPoolState;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let MaxPoolState { maps, window, sources } = ops.state;
        unary::<Flex, _>(ops.parents, ops.node, grads, |grad| {
            let grad = grad.to_contiguous();
            cpu_tensor(max_pool::x_grad(grad.storage(), maps, &sources, window), maps.dims())
        });
    }
}

#[cfg(test)]
mod tests {
    use burn::module::{Param, ParamId};
    use burn::nn::BatchNormConfig;
    use burn::tensor::{Device, Tolerance};
    use face_attributes_training::architecture::Pads;

    use super::*;

    /// Values without a pattern, so that a mistake in rows, columns or channels changes the result.
    fn tensor<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|it| ((it * it + 3 * it) as f32).sin()).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    // Float32 sums of up to 4278 values of about 1.
    fn assert_close<const D: usize>(ours: Option<Tensor<D>>, burns: Option<Tensor<D>>) {
        ours.unwrap().into_data().assert_approx_eq::<f32>(&burns.unwrap().into_data(), Tolerance::rel_abs(1e-5, 1e-3));
    }

    #[test]
    fn convolutions_and_their_gradients_are_burns() {
        let device = Device::flex().autodiff();
        let (even, uneven) =
            (Pads { top: 1, left: 1, bottom: 1, right: 1 }, Pads { top: 1, left: 0, bottom: 2, right: 3 });
        let none = Pads::default();
        // Pointwise, windows that skip pixels at the end, and windows with a stride above their size.
        let windows =
            [(1, 1, none), (1, 2, none), (3, 1, even), (3, 2, even), (4, 1, uneven), (4, 3, uneven), (2, 3, none)];
        // Several images in a row, one in a row, and planes that are rows as they are.
        let sizes = [[5, 7], [23, 31]];
        // Dense, depth-wise, and in between. Channels and filters of more than one tile.
        let groups = [(3, 5, 1), (3, 3, 3), (4, 6, 2), (17, 9, 1)];
        let cases = windows.into_iter().flat_map(|window| sizes.map(|size| (window, size)));
        for ((kernel, stride, pads), [height, width], (channels, filters, groups)) in
            cases.flat_map(|(window, size)| groups.map(|groups| (window, size, groups)))
        {
            let x = tensor([6, channels, height, width], &device).require_grad();
            let weight = tensor([filters, channels / groups, kernel, kernel], &device).require_grad();
            let padding = [(pads.top, pads.bottom), (pads.left, pads.right)];
            let options = ConvOptions::new_with_padding([stride, stride], padding, [1, 1], groups);
            let burns = conv2d(x.clone(), weight.clone(), None, options);
            let ours = conv(x.clone(), weight.clone(), Window { kernel, stride, pads }, groups);
            let factors = tensor(burns.dims(), &device);
            assert_close(Some(ours.clone()), Some(burns.clone()));
            let (ours, burns) = ((ours * factors.clone()).sum().backward(), (burns * factors).sum().backward());
            assert_close(x.grad(&ours), x.grad(&burns));
            assert_close(weight.grad(&ours), weight.grad(&burns));
        }
    }

    #[test]
    fn the_batch_normalization_its_gradients_and_statistics_are_burns() {
        let device = Device::flex().autodiff();
        let layer = || {
            let mut layer = BatchNormConfig::new(3).with_momentum(0.3).init(&device);
            layer.gamma = Param::initialized(ParamId::new(), tensor([3], &device).require_grad());
            layer
        };
        let (our_layer, burns_layer) = (layer(), layer());
        let x = tensor([2, 3, 5, 7], &device).require_grad();
        let ours = batch_norm(&our_layer, x.clone());
        let burns = burns_layer.forward(x.clone());
        let factors = tensor(burns.dims(), &device);
        assert_close(Some(ours.clone()), Some(burns.clone()));
        assert_close(Some(our_layer.running_mean.value_sync()), Some(burns_layer.running_mean.value_sync()));
        assert_close(Some(our_layer.running_var.value_sync()), Some(burns_layer.running_var.value_sync()));
        let (ours, burns) = ((ours * factors.clone()).sum().backward(), (burns * factors).sum().backward());
        assert_close(x.grad(&ours), x.grad(&burns));
        assert_close(our_layer.gamma.val().grad(&ours), burns_layer.gamma.val().grad(&burns));
        assert_close(our_layer.beta.val().grad(&ours), burns_layer.beta.val().grad(&burns));
    }

    #[test]
    fn the_largest_values_and_their_gradients_are_burns() {
        let device = Device::flex().autodiff();
        let uneven = Pads { top: 1, left: 0, bottom: 2, right: 3 };
        let end = Pads { top: 0, left: 0, bottom: 1, right: 1 };
        // Of 6x8 pixels, the last windows of mini-Xception's pooling reach into its padding.
        let cases = [(2, 2, Pads::default()), (3, 2, end), (4, 1, uneven), (4, 3, uneven)];
        for ((kernel, stride, pads), size) in cases.into_iter().flat_map(|it| [(it, [5, 7]), (it, [6, 8])]) {
            let x = tensor([2, 3, size[0], size[1]], &device).require_grad();
            let options = MaxPoolOptions::new([kernel, kernel]).with_stride([stride, stride]);
            let padding = [(pads.top, pads.bottom), (pads.left, pads.right)];
            let burns = max_pool2d(x.clone(), options.with_padding_pairs(padding));
            let ours = max_pool(x.clone(), Window { kernel, stride, pads });
            let factors = tensor(burns.dims(), &device);
            assert_close(Some(ours.clone()), Some(burns.clone()));
            let (ours, burns) = ((ours * factors.clone()).sum().backward(), (burns * factors).sum().backward());
            assert_close(x.grad(&ours), x.grad(&burns));
        }
    }
}
