//! The paper's two networks, larger ones for teaching and for robots that can pay, and the list of all.

use super::Layer::*;
use super::Padding::{Same, Valid};
use super::{Architecture, Layer, Shape};

/// A network's table for the shape of the input image and a number of classes.
pub type Table = fn(Shape, usize) -> Architecture;

/// All networks by name. A new table must be added here.
const TABLES: &[Table] = &[mini_xception, sequential_fully_cnn, residual_cnn, deep_residual_cnn];

/// The table of the network `name`, for a shape of the input image and a number of classes.
///
/// # Errors
/// [`UnknownArchitecture`] where no table has this name.
pub fn architecture(name: &str, input: Shape, classes: usize) -> Result<Architecture, UnknownArchitecture> {
    let mut tables = TABLES.iter().map(|table| table(input, classes));
    tables.find(|architecture| architecture.name == name).ok_or_else(|| {
        let smallest = Shape { channels: 1, height: 1, width: 1 };
        let known = TABLES.iter().map(|table| table(smallest, 1).name).collect();
        UnknownArchitecture { name: name.to_owned(), known }
    })
}

/// No table has this name.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("there is no network '{name}'; there are {}", known.join(", "))]
pub struct UnknownArchitecture {
    /// The requested name.
    pub name: String,
    /// The known names.
    pub known: Vec<&'static str>,
}

/// The residual module of the paper's Figure 3, which halves the feature map: two convolutions `conv` with `filters` filters,
/// and a 1x1 convolution as the shortcut.
#[rustfmt::skip] // A table: one step a line.
fn residual_module(filters: usize, conv: Layer) -> Layer {
    Residual {
        main: vec![
            conv.clone(), BatchNorm, Relu,
            conv, BatchNorm,
            MaxPool { kernel: 3, stride: 2, padding: Same },
        ],
        shortcut: vec![
            Conv { filters, kernel: 1, stride: 2, padding: Same, bias: false }, BatchNorm,
        ],
    }
}

/// Mini-Xception (paper, Section III and Figure 3): residual modules of depth-wise separable
/// convolutions, no fully connected layer. 64x64 pixels in the paper; any image of at least 5x5
/// works.
///
/// Right column: the side of the feature map for 64x64 pixels.
#[rustfmt::skip] // A table: one layer a line.
pub fn mini_xception(input: Shape, classes: usize) -> Architecture {
    let module = |filters| residual_module(filters, SeparableConv { filters, kernel: 3, padding: Same, bias: false });
    Architecture {
        name: "mini_xception",
        input,
        layers: vec![
            Conv { filters: 8, kernel: 3, stride: 1, padding: Valid, bias: false }, BatchNorm, Relu,  // 62
            Conv { filters: 8, kernel: 3, stride: 1, padding: Valid, bias: false }, BatchNorm, Relu,  // 60
            module(16),                                                                               // 30
            module(32),                                                                               // 15
            module(64),                                                                               //  8
            module(128),                                                                              //  4
            Conv { filters: classes, kernel: 3, stride: 1, padding: Same, bias: true },               //  4
            GlobalAveragePool,                                                                        //  1
            Softmax,
        ],
    }
}

/// The sequential fully convolutional network (paper, Section III, first model): nine convolutions
/// and one with a filter per class, "approximately 600,000 parameters".
///
/// Right column: the side of the feature map for 48x48 pixels.
#[rustfmt::skip] // A table: one layer a line.
pub fn sequential_fully_cnn(input: Shape, classes: usize) -> Architecture {
    let conv = |filters, kernel| Conv { filters, kernel, stride: 1, padding: Same, bias: true };
    let pool = AveragePool { kernel: 2, stride: 2, padding: Same };
    Architecture {
        name: "sequential_fully_cnn",
        input,
        layers: vec![
            conv(16, 7),  BatchNorm, conv(16, 7),  BatchNorm, Relu, pool.clone(), Dropout { rate: 0.5 },  // 24
            conv(32, 5),  BatchNorm, conv(32, 5),  BatchNorm, Relu, pool.clone(), Dropout { rate: 0.5 },  // 12
            conv(64, 3),  BatchNorm, conv(64, 3),  BatchNorm, Relu, pool.clone(), Dropout { rate: 0.5 },  //  6
            conv(128, 3), BatchNorm, conv(128, 3), BatchNorm, Relu, pool,         Dropout { rate: 0.5 },  //  3
            conv(256, 3), BatchNorm,                                                                      //  3
            conv(classes, 3),                                                                             //  3
            GlobalAveragePool,                                                                            //  1
            Softmax,
        ],
    }
}

/// A teacher of the small networks (distillation), with six times the multiply-adds of mini-Xception. It has the same residual
/// modules, but with ordinary convolutions and more filters.
///
/// Right column: the side of the feature map for 48x48 pixels.
#[rustfmt::skip] // A table: one layer a line.
pub fn residual_cnn(input: Shape, classes: usize) -> Architecture {
    let module =
        |filters| residual_module(filters, Conv { filters, kernel: 3, stride: 1, padding: Same, bias: false });
    Architecture {
        name: "residual_cnn",
        input,
        layers: vec![
            Conv { filters: 32, kernel: 5, stride: 1, padding: Same, bias: false }, BatchNorm, Relu,  // 48
            MaxPool { kernel: 3, stride: 2, padding: Same },                                          // 24
            module(48),                                                                               // 12
            module(96),                                                                               //  6
            module(192),                                                                              //  3
            Relu,                                                                                     //  3
            Dropout { rate: 0.3 },                                                                    //  3
            Conv { filters: classes, kernel: 3, stride: 1, padding: Same, bias: true },               //  3
            GlobalAveragePool,                                                                        //  1
            Softmax,
        ],
    }
}

/// A network for robots that can pay for accuracy. It has about the parameters and multiply-adds of [`residual_cnn`], but two
/// more residual blocks and a narrower last module: parameters of the 6x6 map pay for depth. The blocks keep the size of the
/// feature map, and their shortcut is the identity (He et al. 2016).
///
/// Right column: the side of the feature map for 48x48 pixels.
#[rustfmt::skip] // A table: one layer a line.
pub fn deep_residual_cnn(input: Shape, classes: usize) -> Architecture {
    let conv = |filters| Conv { filters, kernel: 3, stride: 1, padding: Same, bias: false };
    let module = |filters| residual_module(filters, conv(filters));
    let block = |filters| Residual {
        main: vec![conv(filters), BatchNorm, Relu, conv(filters), BatchNorm],
        shortcut: vec![],
    };
    Architecture {
        name: "deep_residual_cnn",
        input,
        layers: vec![
            Conv { filters: 32, kernel: 5, stride: 1, padding: Same, bias: false }, BatchNorm, Relu,  // 48
            MaxPool { kernel: 3, stride: 2, padding: Same },                                          // 24
            module(48),  Relu,                                                                        // 12
            block(48),   Relu,                                                                        // 12
            module(96),  Relu,                                                                        //  6
            block(96),   Relu,                                                                        //  6
            module(128), Relu,                                                                        //  3
            Dropout { rate: 0.3 },                                                                    //  3
            Conv { filters: classes, kernel: 3, stride: 1, padding: Same, bias: true },               //  3
            GlobalAveragePool,                                                                        //  1
            Softmax,
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Network, Op, Pads};
    use super::*;

    fn image(channels: usize, side: usize) -> Shape {
        Shape { channels, height: side, width: side }
    }

    fn mini_xception_64(classes: usize) -> Network {
        Network::build(&mini_xception(image(1, 64), classes)).unwrap()
    }

    // The counts are those of Keras' `summary()` for the authors' released networks.
    #[test]
    fn mini_xception_has_the_released_networks_parameters() {
        let emotion = mini_xception_64(7);
        assert_eq!(emotion.parameter_count(), 58_423);
        assert_eq!(emotion.trainable_parameter_count(), 56_951);
        assert_eq!(mini_xception_64(2).parameter_count(), 52_658);
    }

    #[test]
    fn mini_xception_costs_ten_million_multiply_adds() {
        assert_eq!(mini_xception_64(7).multiply_adds(), 10_163_392);
    }

    #[test]
    fn mini_xception_halves_its_feature_map_four_times() {
        let network = mini_xception_64(7);
        let sums: Vec<_> =
            network.nodes().iter().filter(|node| node.op == Op::Add).map(|node| node.output_shape).collect();
        assert_eq!(sums, [(16, 30), (32, 15), (64, 8), (128, 4)].map(|(channels, side)| image(channels, side)));
        assert_eq!(network.output_shape(), image(7, 1));
    }

    // From 15 to 8 the padding is even; in the other modules TensorFlow pads only the end.
    #[test]
    fn max_pools_pad_as_tensorflow_does() {
        let pads: Vec<_> = mini_xception_64(7)
            .nodes()
            .iter()
            .filter_map(|node| match node.op {
                Op::MaxPool { pads, .. } => Some(pads),
                _ => None,
            })
            .collect();
        let end = Pads { top: 0, left: 0, bottom: 1, right: 1 };
        let even = Pads { top: 1, left: 1, bottom: 1, right: 1 };
        assert_eq!(pads, [end, end, even, end]);
    }

    #[test]
    fn mini_xception_takes_other_sizes() {
        let input = Shape { channels: 3, height: 48, width: 64 };
        let network = Network::build(&mini_xception(input, 7)).unwrap();
        // Two more input channels: 2 x 3 x 3 x 8 more weights.
        assert_eq!(network.parameter_count(), 58_423 + 144);
        let last_map = network.nodes()[network.nodes().len() - 3].output_shape;
        assert_eq!(last_map, Shape { channels: 7, height: 3, width: 4 });
    }

    #[test]
    fn a_network_is_found_by_its_name() {
        let input = image(1, 64);
        assert_eq!(architecture("mini_xception", input, 7), Ok(mini_xception(input, 7)));
        assert_eq!(architecture("sequential_fully_cnn", input, 2), Ok(sequential_fully_cnn(input, 2)));
        let message = architecture("vgg", input, 7).unwrap_err().to_string();
        assert_eq!(
            message,
            "there is no network 'vgg'; there are mini_xception, sequential_fully_cnn, residual_cnn, deep_residual_cnn"
        );
    }

    #[test]
    fn sequential_fully_cnn_has_the_papers_parameters() {
        let count = |channels, classes| {
            Network::build(&sequential_fully_cnn(image(channels, 48), classes)).unwrap().parameter_count()
        };
        assert_eq!(count(1, 7), 642_935);
        assert_eq!(count(3, 2), 632_978);
    }

    #[test]
    fn residual_cnn_costs_what_its_convolutions_do() {
        let network = Network::build(&residual_cnn(image(1, 48), 7)).unwrap();
        let conv =
            |kernel: usize, inputs: usize, filters: usize, side: usize| (kernel * side).pow(2) * inputs * filters;
        let stem = conv(5, 1, 32, 48);
        let modules = [(32, 48, 24), (48, 96, 12), (96, 192, 6)].map(|(inputs, filters, side)| {
            conv(3, inputs, filters, side) + conv(3, filters, filters, side) + conv(1, inputs, filters, side / 2)
        });
        let multiply_adds = stem + modules.iter().sum::<usize>() + conv(3, 192, 7, 3);
        assert_eq!((network.parameter_count(), network.multiply_adds()), (698_279, multiply_adds));
        assert_eq!(network.output_shape(), image(7, 1));
    }

    #[test]
    fn deep_residual_cnn_spends_the_teachers_parameters_on_depth() {
        let [deep, teacher] =
            [deep_residual_cnn, residual_cnn].map(|table| Network::build(&table(image(1, 48), 7)).unwrap());
        assert_eq!((deep.parameter_count(), deep.multiply_adds()), (656_231, 61_469_568));
        let convolutions = |network: &Network| {
            network.nodes().iter().filter(|node| matches!(node.op, Op::Conv { kernel: 3, .. })).count()
        };
        assert_eq!((convolutions(&deep), convolutions(&teacher)), (11, 7));
        assert_eq!(deep.output_shape(), image(7, 1));
    }
}
