//! Makes the graph of a gradient from a network's graph: a vector-Jacobian product, added behind the forward pass.
//!
//! Graph and weights are those of the network's ONNX file. Its nodes are visited from the last to the first. The
//! gradient of each operator is made of tract's own operators where this is possible: a convolution's gradient is a
//! convolution with rotated kernels. For other operators, it is a [`LocalGradient`].

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use tract_onnx::tract_core::ops::cnn::{Conv, KernelFormat, PaddingSpec, PoolSpec};
use tract_onnx::tract_core::ops::math;
use tract_onnx::tract_core::ops::nn::DataFormat;
use tract_onnx::tract_hir::internal::*;

use super::SaliencyError;
use super::local_gradient::LocalGradient;
use super::window::{Window, end_pads, window};

/// The forward pass of a network, and the gradient of one of its values back to the input.
pub struct GradientGraph<'a> {
    /// The forward pass and the gradient nodes added so far.
    pub model: TypedModel,
    proto: &'a GraphProto,
    relu: LocalGradient,
    /// Gradients. The key is the name of the value that the gradient is with respect to.
    gradients: HashMap<&'a str, OutletId>,
}

impl<'a> GradientGraph<'a> {
    /// Adds the gradient of the value `target` with respect to every value that it is computed from. A new input of the
    /// same shape weights the elements of `target`. `relu` is the rule at each rectifier.
    pub fn new(proto: &'a ModelProto, target: &'a str, relu: LocalGradient) -> Result<Self, SaliencyError> {
        let model = tract_onnx::onnx().model_for_proto_model(proto)?.into_typed()?;
        let proto = proto.graph.as_ref().context("no graph")?;
        let mut graph = Self { model, proto, relu, gradients: HashMap::new() };
        let target_value = graph.value(target)?;
        let fact = graph.model.outlet_fact(target_value)?.without_value();
        let weights = graph.model.add_source(format!("{GRADIENT}/weights"), fact)?;
        graph.gradients.insert(target, weights);
        for node in proto.node.iter().rev() {
            if let Some(&gradient) = node.output.first().and_then(|output| graph.gradients.get(output.as_str())) {
                graph.add_node(node, gradient)?;
            }
        }
        Ok(graph)
    }

    /// The forward value of that name.
    pub fn value(&self, name: &str) -> TractResult<OutletId> {
        // tract labels the outputs of operators, but not the inputs of the network.
        match self.proto.input.iter().position(|input| input.name == name) {
            Some(position) => Ok(self.model.input_outlets()?[position]),
            None => self.model.find_outlet_label(name).with_context(|| format!("no value '{name}'")),
        }
    }

    /// The shape of the forward value of that name, its batch of one in front.
    pub fn shape(&self, name: &str) -> TractResult<TVec<usize>> {
        let shape = &self.model.outlet_fact(self.value(name)?)?.shape;
        Ok(shape.as_concrete().context("a shape is not fixed")?.into())
    }

    /// The gradient with respect to the value of that name.
    pub fn gradient(&self, name: &str) -> TractResult<OutletId> {
        self.gradients.get(name).copied().with_context(|| format!("the target is not computed from '{name}'"))
    }

    fn add_node(&mut self, node: &'a NodeProto, gradient: OutletId) -> Result<(), SaliencyError> {
        let input = node.input.first().with_context(|| format!("{} takes nothing", node.name))?;
        let name = format!("{GRADIENT}/{}", node.name);
        let local = match node.op_type.as_str() {
            "Conv" => {
                let gradient = self.conv(node, &name, gradient)?;
                return Ok(self.accumulate(input, gradient)?);
            }
            "BatchNormalization" => {
                let gradient = self.batch_norm(node, &name, gradient)?;
                return Ok(self.accumulate(input, gradient)?);
            }
            "Add" => {
                let shape = self.shape(&node.output[0])?;
                for input in &node.input {
                    // Weights have no shape here, because they are not feature maps.
                    if self.shape(input).ok().as_ref() != Some(&shape) {
                        return Err(unsupported(node));
                    }
                }
                for input in &node.input {
                    self.accumulate(input, gradient)?;
                }
                return Ok(());
            }
            "Relu" => self.relu,
            "MaxPool" => LocalGradient::MaxPool(window(node)?),
            "AveragePool" if node.get_attr_opt::<i64>("count_include_pad")?.unwrap_or(0) == 0 => {
                LocalGradient::AveragePool(window(node)?)
            }
            "ReduceMean" if is_spatial_mean(node)? => LocalGradient::SpatialMean,
            "Softmax" => LocalGradient::Softmax,
            _ => return Err(unsupported(node)),
        };
        let forward = self.value(if local == LocalGradient::Softmax { &node.output[0] } else { input })?;
        let gradient = self.model.wire_node(name, local, &[forward, gradient])?[0];
        Ok(self.accumulate(input, gradient)?)
    }

    /// Adds a gradient. Where several operators take the same value, its gradient is the sum of theirs.
    fn accumulate(&mut self, input: &'a str, gradient: OutletId) -> TractResult<()> {
        let sum = match self.gradients.get(input) {
            Some(&other) => {
                let name = format!("{GRADIENT}/{input}/sum.{}", gradient.node);
                self.model.wire_node(name, math::add(), &[other, gradient])?[0]
            }
            None => gradient,
        };
        self.gradients.insert(input, sum);
        Ok(())
    }

    /// The gradient of a convolution. With a stride of 1, it is the convolution with each kernel rotated by 180
    /// degrees, and with input and output channels exchanged. A larger stride equals a stride of 1 of which only some
    /// results are kept.
    fn conv(&mut self, node: &NodeProto, name: &str, gradient: OutletId) -> TractResult<OutletId> {
        let window = window(node)?;
        let [bottom, right] = end_pads(node)?;
        let groups: usize = node.get_attr_opt("group")?.unwrap_or(1);
        let weight = self.initializer(node.input.get(1).context("a convolution without weights")?)?;
        let Window { kernel, stride, top, left } = window;
        let turned = turned_kernels(&weight, groups)?;
        let &[channels, filters_per_group, _, _] = turned.shape() else {
            bail!("the weights are not those of an image")
        };
        let before = |pad: usize| (kernel - 1).checked_sub(pad).context("a padding wider than its kernel");
        let spec = PoolSpec::new(
            DataFormat::NCHW,
            tvec!(kernel, kernel),
            PaddingSpec::Explicit(tvec!(before(top)?, before(left)?), tvec!(before(bottom)?, before(right)?)),
            None,
            None,
            filters_per_group * groups,
            channels,
        );
        let turned = self.model.add_const(format!("{name}/weight"), turned)?;
        let bias = self.model.add_const(format!("{name}/bias"), Tensor::zero_scalar::<f32>()?)?;
        let conv = Conv::new(spec, KernelFormat::OIHW, groups, None);
        let convolve = |model: &mut TypedModel, name, gradient| model.wire_node(name, conv, &[gradient, turned, bias]);
        if stride == 1 {
            return Ok(convolve(&mut self.model, name.to_owned(), gradient)?[0]);
        }
        let &[_, _, rows, columns] = &*self.shape(&node.input[0])? else { bail!("{} takes no image", node.name) };
        let spread = LocalGradient::Stride {
            stride,
            rows: (rows + top + bottom + 1).saturating_sub(kernel),
            columns: (columns + left + right + 1).saturating_sub(kernel),
        };
        if kernel == 1 {
            // The order makes no difference for this kernel, and the convolution has fewer elements this way.
            let thin = convolve(&mut self.model, format!("{name}/conv"), gradient)?;
            Ok(self.model.wire_node(name, spread, &thin)?[0])
        } else {
            let wide = self.model.wire_node(format!("{name}/spread"), spread, &[gradient])?[0];
            Ok(convolve(&mut self.model, name.to_owned(), wide)?[0])
        }
    }

    fn batch_norm(&mut self, node: &NodeProto, name: &str, gradient: OutletId) -> TractResult<OutletId> {
        let [scale, variance] = [1, 4].map(|position| {
            let name = node.input.get(position).context("a batch normalization without its parameters")?;
            self.initializer(name)
        });
        let epsilon: f32 = node.get_attr_opt("epsilon")?.unwrap_or(1e-5);
        let (scale, variance) = (scale?, variance?);
        let (scale, variance) = (scale.try_as_plain_ram()?, variance.try_as_plain_ram()?);
        let channels = scale.as_slice::<f32>()?.iter().zip(variance.as_slice::<f32>()?);
        let factors: Vec<f32> = channels.map(|(scale, variance)| scale / (variance + epsilon).sqrt()).collect();
        let factors = Tensor::from_shape(&[1, factors.len(), 1, 1], &factors)?;
        let factors = self.model.add_const(format!("{name}/factors"), factors)?;
        Ok(self.model.wire_node(name, math::mul(), &[gradient, factors])?[0])
    }

    fn initializer(&self, name: &str) -> TractResult<Tensor> {
        let tensor = self.proto.initializer.iter().find(|tensor| tensor.name == name);
        let tensor = tensor.with_context(|| format!("'{name}' is no tensor of weights"))?;
        tract_onnx::tensor::load_tensor(&*tract_onnx::onnx().provider, tensor, None)
    }
}

/// Prefix of the names of the added nodes.
const GRADIENT: &str = "gradient";

/// `[filters, channels / groups, rows, columns]` to `[channels, filters / groups, rows, columns]`, rows and columns
/// reversed: see [`GradientGraph::conv`].
fn turned_kernels(weight: &Tensor, groups: usize) -> TractResult<Tensor> {
    let weight = weight.to_plain_array_view::<f32>()?.into_dimensionality::<tract_ndarray::Ix4>()?;
    let (filters, channels_per_group, rows, columns) = weight.dim();
    ensure!(groups > 0 && filters % groups == 0, "{filters} filters are no {groups} groups");
    let filters_per_group = filters / groups;
    let shape = (channels_per_group * groups, filters_per_group, rows, columns);
    let turned = tract_ndarray::Array4::from_shape_fn(shape, |(channel, filter, row, column)| {
        let (group, channel) = (channel / channels_per_group, channel % channels_per_group);
        weight[[group * filters_per_group + filter, channel, rows - 1 - row, columns - 1 - column]]
    });
    Ok(turned.into())
}

fn unsupported(node: &NodeProto) -> SaliencyError {
    SaliencyError::UnsupportedOperator { layer: node.name.clone(), operator: node.op_type.clone() }
}

fn is_spatial_mean(node: &NodeProto) -> TractResult<bool> {
    Ok(node.get_attr_opt_vec::<i64>("axes")?.as_deref() == Some(&[2, 3]))
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::attribute_proto::AttributeType;
    use tract_onnx::pb::tensor_proto::DataType;
    use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
    use tract_onnx::pb::{
        AttributeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
    };

    use super::*;

    const CHANNELS: usize = 4;
    const ROWS: usize = 5;
    const COLUMNS: usize = 8;

    fn ints(name: &str, values: &[i64]) -> AttributeProto {
        let (name, ints) = (name.to_owned(), values.to_vec());
        AttributeProto { name, ints, r#type: AttributeType::Ints as i32, ..Default::default() }
    }

    fn int(name: &str, i: i64) -> AttributeProto {
        AttributeProto { name: name.to_owned(), i, r#type: AttributeType::Int as i32, ..Default::default() }
    }

    fn window_of(kernel: i64, stride: i64, pads: [i64; 4]) -> Vec<AttributeProto> {
        vec![ints("kernel_shape", &[kernel; 2]), ints("strides", &[stride; 2]), ints("pads", &pads)]
    }

    fn node(op_type: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
        NodeProto {
            name: output.to_owned(),
            op_type: op_type.to_owned(),
            input: input.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..Default::default()
        }
    }

    /// Numbers without a pattern, -1 to 1.
    fn numbers(seed: f32, count: usize) -> Vec<f32> {
        (0..count).map(|position| (seed + 1.7 * (position * position + 3 * position) as f32).sin()).collect()
    }

    fn weights(name: &str, shape: &[usize]) -> TensorProto {
        let values = numbers(name.len() as f32, shape.iter().product());
        // Variances are positive.
        let values = values.into_iter().map(|value| if shape.len() == 1 { value + 1.5 } else { value });
        TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|&size| size as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: values.collect(),
            ..Default::default()
        }
    }

    /// A graph from `x`, of 4 channels, 5 rows and 8 columns, to the last node's output.
    fn model(node: Vec<NodeProto>, initializer: Vec<TensorProto>) -> ModelProto {
        let dim = [1, CHANNELS, ROWS, COLUMNS]
            .map(|size| Dimension { value: Some(dimension::Value::DimValue(size as i64)), ..Default::default() });
        let tensor = type_proto::Tensor {
            elem_type: DataType::Float as i32,
            shape: Some(TensorShapeProto { dim: dim.to_vec() }),
        };
        let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() });
        let input = vec![ValueInfoProto { name: "x".to_owned(), r#type, ..Default::default() }];
        let output = vec![ValueInfoProto { name: node.last().unwrap().output[0].clone(), ..Default::default() }];
        ModelProto {
            ir_version: 7,
            opset_import: vec![OperatorSetIdProto { version: 13, ..Default::default() }],
            graph: Some(GraphProto { node, initializer, input, output, ..Default::default() }),
            ..Default::default()
        }
    }

    /// Compares `sum(gradient * direction)` with the slope of `sum(weights * y)` along `direction`, for the last value `y`.
    fn check_slope(case: &str, proto: &ModelProto) {
        let target = &proto.graph.as_ref().unwrap().output[0].name;
        let mut graph = GradientGraph::new(proto, target, LocalGradient::Relu).unwrap();
        let shape = graph.shape(target).unwrap();
        let outputs = [graph.value(target).unwrap(), graph.gradient("x").unwrap()];
        graph.model.select_output_outlets(&outputs).unwrap();
        let plan = graph.model.into_optimized().unwrap().into_runnable().unwrap();

        let weights = numbers(0.3, shape.iter().product());
        let run = |x: &[f32]| {
            let x = Tensor::from_shape(&[1, CHANNELS, ROWS, COLUMNS], x).unwrap();
            let weights = Tensor::from_shape(&shape, &weights).unwrap();
            let outputs = plan.run(tvec!(x.into(), weights.into())).unwrap();
            [0, 1].map(|n| outputs[n].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec())
        };
        let count = CHANNELS * ROWS * COLUMNS;
        let (x, direction) = (numbers(0.7, count), numbers(2.9, count));
        let [_, gradient] = run(&x);
        let slope: f32 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();

        // Small enough that no rectifier or maximum switches, large enough for float32.
        let step = 1e-3;
        let at = |step: f32| -> f64 {
            let moved: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            run(&moved)[0].iter().zip(&weights).map(|(y, w)| f64::from(y * w)).sum()
        };
        let measured = (at(step) - at(-step)) / f64::from(2.0 * step);
        assert!(slope.abs() > 0.1, "{case}: a slope of {slope} shows nothing");
        assert!((f64::from(slope) - measured).abs() < 0.01 * measured.abs(), "{case}: {slope}, measured {measured}");
    }

    #[test]
    fn each_operator_has_its_gradient() {
        let conv = |attributes: Vec<AttributeProto>, group: i64, shape: [usize; 4]| {
            let attributes = attributes.into_iter().chain([int("group", group)]).collect();
            (vec![node("Conv", &["x", "w"], "y", attributes)], vec![weights("w", &shape)])
        };
        let no_weights = |op_type, attributes| (vec![node(op_type, &["x"], "y", attributes)], vec![]);
        let branches = vec![
            node("Conv", &["x", "w"], "main", window_of(3, 1, [1, 1, 1, 1])),
            node("Relu", &["main"], "relu", vec![]),
            node("Conv", &["x", "point"], "shortcut", window_of(1, 1, [0; 4])),
            node("Add", &["relu", "shortcut"], "y", vec![]),
        ];
        let norm = ["scale", "bias", "mean", "variance"];
        let cases = [
            ("convolution", conv(window_of(3, 1, [0; 4]), 1, [6, 4, 3, 3])),
            ("padded unevenly", conv(window_of(3, 1, [0, 2, 1, 0]), 1, [6, 4, 3, 3])),
            ("depth-wise", conv(window_of(3, 1, [1; 4]), 4, [4, 1, 3, 3])),
            ("grouped", conv(window_of(3, 1, [1; 4]), 2, [6, 2, 3, 3])),
            ("stride 2", conv(window_of(3, 2, [0, 0, 1, 1]), 1, [6, 4, 3, 3])),
            ("stride 3, an even kernel", conv(window_of(2, 3, [1, 0, 0, 1]), 2, [2, 2, 2, 2])),
            ("1x1, stride 2", conv(window_of(1, 2, [0; 4]), 1, [6, 4, 1, 1])),
            ("max pool", no_weights("MaxPool", window_of(3, 2, [0, 0, 1, 1]))),
            ("average pool", no_weights("AveragePool", window_of(2, 2, [0, 0, 1, 0]))),
            ("rectifier", no_weights("Relu", vec![])),
            ("mean", no_weights("ReduceMean", vec![ints("axes", &[2, 3]), int("keepdims", 0)])),
            (
                "batch normalization",
                (
                    vec![node("BatchNormalization", &["x", norm[0], norm[1], norm[2], norm[3]], "y", vec![])],
                    norm.map(|name| weights(name, &[4])).to_vec(),
                ),
            ),
            ("branches", (branches, vec![weights("w", &[6, 4, 3, 3]), weights("point", &[6, 4, 1, 1])])),
        ];
        for (case, (nodes, initializers)) in cases {
            check_slope(case, &model(nodes, initializers));
        }
    }

    #[test]
    fn an_operator_without_a_known_gradient_is_named() {
        let dilated = window_of(3, 1, [0; 4]).into_iter().chain([ints("dilations", &[2, 2])]).collect();
        let same = vec![AttributeProto {
            name: "auto_pad".to_owned(),
            s: b"SAME_UPPER".to_vec(),
            r#type: AttributeType::String as i32,
            ..Default::default()
        }];
        let counted = window_of(2, 2, [1, 0, 0, 1]).into_iter().chain([int("count_include_pad", 1)]).collect();
        let cases = [
            (node("Sigmoid", &["x"], "y", vec![]), "the operator Sigmoid (y)"),
            (node("Conv", &["x", "w"], "y", dilated), "y is dilated"),
            (node("Conv", &["x", "w"], "y", same), "y is not padded by numbers"),
            (node("Conv", &["x", "x"], "y", vec![]), "'x' is no tensor of weights"),
            (node("AveragePool", &["x"], "y", counted), "the operator AveragePool (y)"),
            (node("Add", &["x", "vector"], "y", vec![]), "the operator Add (y)"),
        ];
        for (node, reason) in cases {
            let initializers = vec![weights("w", &[4, 4, 3, 3]), weights("vector", &[4, 1, 1])];
            let proto = model(vec![node], initializers);
            match GradientGraph::new(&proto, "y", LocalGradient::Relu) {
                Err(error) => assert!(error.to_string().contains(reason), "{error}"),
                Ok(_) => panic!("{reason}: no error"),
            }
        }
    }
}
