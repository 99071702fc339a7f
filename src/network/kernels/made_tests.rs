//! Small networks made for the tests: all operations, odd sizes and numbers of channels.

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto,
};

use super::tests::{check_proto, numbers};
use super::*;

pub(super) struct Made {
    graph: GraphProto,
    seed: u64,
}

impl Made {
    pub(super) fn new(input: [usize; 3], outputs: &[&str]) -> Self {
        let mut graph = GraphProto { input: vec![value("image", Some(input))], ..GraphProto::default() };
        graph.output = outputs.iter().map(|name| value(name, None)).collect();
        Self { graph, seed: 1 }
    }

    pub(super) fn node(&mut self, op: &str, inputs: &[&str], output: &str, attributes: &[(&str, &[i64])]) -> &mut Self {
        let attribute = attributes.iter().map(|(name, ints)| {
            let mut attribute = AttributeProto { name: (*name).to_owned(), ..AttributeProto::default() };
            match ints {
                [int] => {
                    attribute.i = *int;
                    attribute.set_type(attribute_proto::AttributeType::Int);
                }
                ints => {
                    attribute.ints = ints.to_vec();
                    attribute.set_type(attribute_proto::AttributeType::Ints);
                }
            }
            attribute
        });
        self.graph.node.push(NodeProto {
            op_type: op.to_owned(),
            name: output.to_owned(),
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: attribute.collect(),
            ..NodeProto::default()
        });
        self
    }

    pub(super) fn weights(&mut self, name: &str, shape: &[usize], range: [f32; 2]) -> &mut Self {
        self.seed += 1;
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|size| *size as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: numbers(self.seed, shape.iter().product(), range),
            ..TensorProto::default()
        });
        self
    }

    pub(super) fn output(&mut self, name: &str) -> &mut Self {
        self.graph.output.push(value(name, None));
        self
    }

    pub(super) fn batch_norm(&mut self, input: &str, output: &str, channels: usize) -> &mut Self {
        let names = ["scale", "shift", "mean", "variance"].map(|name| format!("{output}.{name}"));
        for (name, range) in names.iter().zip([[0.5, 1.5], [-1.0, 1.0], [-1.0, 1.0], [0.5, 2.0]]) {
            self.weights(name, &[channels], range);
        }
        let [scale, shift, mean, variance] = &names;
        self.node("BatchNormalization", &[input, scale, shift, mean, variance], output, &[])
    }

    pub(super) fn model(&self) -> ModelProto {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
            graph: Some(self.graph.clone()),
            ..ModelProto::default()
        }
    }
}

fn value(name: &str, shape: Option<[usize; 3]>) -> ValueInfoProto {
    let size = |size: usize| Dimension { value: Some(dimension::Value::DimValue(size as i64)), ..Dimension::default() };
    let shape = shape
        .map(|[channels, height, width]| TensorShapeProto { dim: [1, channels, height, width].map(size).to_vec() });
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() });
    ValueInfoProto { name: name.to_owned(), r#type, ..ValueInfoProto::default() }
}

/// A network with all operations; the convolutions have `channels` outputs and kernels of this height and width.
fn network(input: [usize; 3], channels: usize, kernel: [usize; 2], stride: usize) -> Made {
    let mut made = Made::new(input, &["heat", "classes", "large"]);
    let [height, width] = kernel.map(|size| size as i64);
    let pads: &[i64] = &[height / 2, width / 2, height - 1 - height / 2, width - 1 - width / 2];
    let strides: &[i64] = &[stride as i64, 1];
    made.weights("first", &[channels, input[0], kernel[0], kernel[1]], [-0.3, 0.3])
        .weights("first.bias", &[channels], [-1.0, 1.0])
        .node("Conv", &["image", "first", "first.bias"], "1", &[("pads", pads), ("strides", strides)])
        .batch_norm("1", "2", channels)
        .node("Relu", &["2"], "3", &[])
        .weights("deep", &[channels, 1, kernel[0], kernel[1]], [-0.3, 0.3])
        .node("Conv", &["3", "deep"], "4", &[("pads", pads), ("group", &[channels as i64])])
        .weights("least", &[], [0.1, 0.2])
        .weights("most", &[], [0.5, 0.6])
        .node("Clip", &["4", "least", "most"], "5", &[])
        // Neither a batch norm nor a sum can become part of a convolution whose result is limited.
        .batch_norm("5", "6", channels)
        .node("Identity", &["6"], "7", &[])
        .node("Add", &["7", "3"], "8", &[])
        .node("MaxPool", &["8"], "9", &[("kernel_shape", &[3, 2]), ("strides", &[2, 1]), ("pads", &[1, 0, 1, 1])])
        .node("Relu", &["9"], "10", &[])
        .node("AveragePool", &["10"], "11", &[("kernel_shape", &[2, 3]), ("strides", &[1, 2]), ("pads", &[0, 1, 1, 1])])
        .weights("up", &[channels, 5, 2, 3], [-0.3, 0.3])
        .node("ConvTranspose", &["11", "up"], "large", &[("strides", &[2, 3])])
        .node("Sigmoid", &["11"], "heat", &[])
        .weights("last", &[3, channels, 3, 3], [-0.3, 0.3])
        .node("Conv", &["11", "last"], "12", &[("pads", &[1, 1, 1, 1])])
        .node("GlobalAveragePool", &["12"], "13", &[])
        .node("Flatten", &["13"], "14", &[])
        .node("Softmax", &["14"], "classes", &[("axis", &[1])]);
    made
}

#[test]
fn all_operations_agree_with_tract_under_each_instruction_set() {
    let cases = [
        ([1, 9, 14], 8, [3, 3], 1),
        ([3, 14, 9], 5, [1, 1], 1),
        ([1, 21, 10], 24, [5, 3], 2),
        ([3, 12, 31], 50, [3, 3], 2),
        ([2, 8, 8], 33, [2, 4], 1),
    ];
    for (input, channels, kernel, stride) in cases {
        check_proto(&network(input, channels, kernel, stride).model(), input, [-1.0, 1.0], 2);
    }
}

#[test]
fn what_the_kernels_do_not_know_is_left_to_tract() {
    let input = [1, 9, 14];
    let reason = |change: fn(&mut Made)| {
        let mut made = network(input, 8, [3, 3], 1);
        change(&mut made);
        Kernels::translate_for(&made.model(), input, [-1.0, 1.0], Isa::fastest()).err().unwrap_or_default()
    };
    assert_eq!(reason(|_| {}), "");
    let unknown = reason(|made| made.graph.node.last_mut().unwrap().op_type = "Elu".to_owned());
    assert_eq!(unknown, "Elu 'classes': not known");
    let dilated = reason(|made| {
        let first = &mut made.graph.node[0];
        first.attribute[1].name = "dilations".to_owned();
        first.attribute[1].ints = vec![2, 2];
    });
    assert_eq!(dilated, "Conv '1': its windows");
    let overlapping =
        reason(|made| made.graph.node.iter_mut().find(|node| node.name == "large").unwrap().attribute.clear());
    assert!(overlapping.contains("its blocks overlap"), "{overlapping}");
    let short = reason(|made| made.graph.initializer[0].float_data.truncate(1));
    assert!(short.contains("'first' is no constant"), "{short}");
}

#[test]
fn filters_that_are_0_for_the_range_of_pixels_are_left_out() {
    let mut made = Made::new([1, 8, 8], &["2"]);
    made.weights("first", &[4, 1, 3, 3], [-0.1, 0.1]).weights("first.bias", &[4], [-0.1, 0.1]);
    // In 9 products of at most 0.1, pixels of up to 1 do not outweigh -2; pixels of up to 9 may.
    made.graph.initializer[1].float_data = vec![0.5, -2.0, 0.5, -2.0];
    made.weights("second", &[2, 4, 1, 1], [-1.0, 1.0])
        .node("Conv", &["image", "first", "first.bias"], "0", &[])
        .node("Relu", &["0"], "1", &[])
        .node("Conv", &["1", "second"], "2", &[]);
    for (range, channels) in [([-1.0, 1.0], 2), ([-9.0, 9.0], 4)] {
        let shape = Shape { height: 8, width: 8, channels: 1 };
        let mut graph = graph::read(&made.model(), shape).unwrap();
        rewrite::remove_dead_filters(&mut graph, range);
        assert_eq!(graph.maps[1].channels, channels);
        check_proto(&made.model(), [1, 8, 8], range, 3);
    }
}

#[test]
fn patches_begin_at_their_own_pads_and_are_no_part_of_a_chain() {
    let input = [1, 70, 90];
    let mut made = Made::new(input, &["wide", "last"]);
    made.weights("first", &[16, 1, 1, 1], [-1.0, 1.0])
        .node("Conv", &["image", "first"], "1", &[])
        // Its border is wider than that of the patches.
        .weights("five", &[8, 16, 5, 5], [-0.1, 0.1])
        .node("Conv", &["1", "five"], "wide", &[("pads", &[2, 2, 2, 2])])
        .weights("three", &[64, 16, 3, 3], [-0.1, 0.1])
        .node("Conv", &["1", "three"], "patches", &[("pads", &[1, 1, 1, 1])])
        // The map of the patches exceeds the cache.
        .weights("point", &[8, 64, 1, 1], [-0.1, 0.1])
        .node("Conv", &["patches", "point"], "last", &[]);
    check_proto(&made.model(), input, [-1.0, 1.0], 1);
}

#[test]
fn a_map_with_another_border_can_be_added_to_a_transposed_convolution() {
    let input = [1, 20, 26];
    let mut made = Made::new(input, &["sum", "wide"]);
    made.weights("first", &[5, 1, 1, 1], [-1.0, 1.0])
        .node("Conv", &["image", "first"], "fine", &[])
        .weights("five", &[3, 5, 5, 5], [-0.1, 0.1])
        .node("Conv", &["fine", "five"], "wide", &[("pads", &[2, 2, 2, 2])])
        .weights("halve", &[7, 5, 2, 2], [-0.3, 0.3])
        .node("Conv", &["fine", "halve"], "coarse", &[("strides", &[2, 2])])
        .weights("up", &[7, 5, 2, 2], [-0.3, 0.3])
        .node("ConvTranspose", &["coarse", "up"], "large", &[("strides", &[2, 2])])
        .node("Add", &["large", "fine"], "sum", &[]);
    check_proto(&made.model(), input, [-1.0, 1.0], 1);
}

#[test]
fn a_run_in_parts_gives_what_a_run_at_once_gives() {
    let input = [1, 9, 14];
    let kernels = Arc::new(
        Kernels::translate_for(&network(input, 8, [3, 3], 1).model(), input, [-1.0, 1.0], Isa::fastest()).unwrap(),
    );
    let picture = numbers(1, 9 * 14, [-1.0, 1.0]);
    let write = |row: usize, line: &mut [f32]| line.copy_from_slice(&picture[row * 14..][..14]);
    let expected = kernels.begin(write).finish().to_vec();
    // Two runs at once have a memory of their own each.
    let mut runs = [kernels.begin(write), kernels.begin(|_, line| line.fill(1.0))];
    for part in 1..=5 {
        for run in &mut runs {
            assert!(run.outputs().is_none());
            run.advance(f64::from(part) / 5.0);
        }
    }
    assert_eq!(runs[0].outputs().unwrap(), expected);
    assert_ne!(runs[1].outputs().unwrap(), expected);
}
