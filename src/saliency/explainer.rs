//! Explains the values of one layer of a network.

use std::fmt;
use std::sync::Arc;

use opencv::core::Mat;
use opencv::imgproc::{INTER_LINEAR, resize};
use opencv::prelude::*;
use tract_onnx::pb::GraphProto;
use tract_onnx::prelude::*;

use super::graph::GradientGraph;
use super::local_gradient::LocalGradient;
use super::{Method, Neuron, Saliency, SaliencyError};
use crate::attributes::crop::mirror;
use crate::network::{Model, ModelInput};
use crate::panics::catch_panic;

/// Explains the values of one layer of a network, by one method.
pub struct Explainer {
    plan: Arc<TypedRunnableModel>,
    input: ModelInput,
    layer: String,
    /// Shape of the explained layer, with its batch of one.
    layer_shape: Vec<usize>,
    method: Method,
}

impl fmt::Debug for Explainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Explainer")
            .field("method", &self.method)
            .field("layer", &self.layer)
            .field("layer_shape", &self.layer_shape)
            .finish_non_exhaustive()
    }
}

impl Explainer {
    /// Prepares the explanation of the classes of `model`. The scores before the softmax are explained, so the result
    /// shows what supports a class, not what reduces the probability of the others.
    ///
    /// # Errors
    /// [`SaliencyError`] where the network holds an operator whose gradient is not known.
    pub fn of_classes(model: &Model, method: Method) -> Result<Self, SaliencyError> {
        Self::of_layer(model, method, scores_name(graph_of(model)?)?)
    }

    /// Prepares the explanation of the neurons of a layer. `layer` is its name in the ONNX file, for example
    /// `module_2/add`. The layer `probabilities` is the network's output.
    ///
    /// # Errors
    /// [`SaliencyError`] where there is no such layer, or the network holds an operator whose gradient is not known.
    pub fn of_layer(model: &Model, method: Method, layer: &str) -> Result<Self, SaliencyError> {
        let layers = layer_names(graph_of(model)?);
        if !layers.contains(&layer) {
            let known = layers.into_iter().map(str::to_owned).collect();
            return Err(SaliencyError::UnknownLayer { layer: layer.to_owned(), known });
        }
        catch_panic(|| Self::build(model, method, layer)).unwrap_or_else(|panic| Err(SaliencyError::Tract(panic)))
    }

    fn build(model: &Model, method: Method, layer: &str) -> Result<Self, SaliencyError> {
        let relu = match method {
            Method::Guided => LocalGradient::GuidedRelu,
            Method::Gradient | Method::GradCam => LocalGradient::Relu,
        };
        let graph = graph_of(model)?;
        let mut gradient = GradientGraph::new(model.proto(), layer, relu)?;
        let layer_shape = gradient.shape(layer)?.to_vec();
        let mut outputs = gradient.model.output_outlets()?[..1].to_vec();
        if method == Method::GradCam {
            let features = last_features(graph, layer)?;
            outputs.extend([gradient.value(features)?, gradient.gradient(features)?]);
        } else {
            outputs.push(gradient.gradient(&graph.input[0].name)?);
        }
        gradient.model.select_output_outlets(&outputs)?;
        let plan = gradient.model.into_optimized()?.into_runnable()?;
        Ok(Self { plan, input: model.input(), layer: layer.to_owned(), layer_shape, method })
    }

    /// Explains one neuron's value for one picture, whose pixels are as those of [`Model::run`].
    ///
    /// # Errors
    /// [`SaliencyError`] where the layer has no such neuron, the number of pixels is not that of the input, or tract fails.
    pub fn explain(&self, pixels: &[u8], neuron: Neuron) -> Result<Saliency, SaliencyError> {
        let image = self.input.tensor(pixels)?;
        let outputs = self.plan.run(tvec!(image.into(), self.one_hot(neuron)?.into()))?;
        let values = match &outputs[1..] {
            [gradient] => elements(gradient)?,
            [features, gradient] => self.grad_cam(features, gradient)?,
            _ => return Err(SaliencyError::Tract(format!("{} outputs", outputs.len()))),
        };
        Ok(Saliency { size: self.input.size, values, probabilities: elements(&outputs[0])? })
    }

    /// Explains one neuron's value for a face's crop (8-bit, one channel). As in the classifier, the result is from the
    /// crop alone, or the mean with that of the mirrored crop.
    ///
    /// # Errors
    /// As [`Explainer::explain`].
    pub fn explain_crop(&self, crop: &Mat, neuron: Neuron, with_mirrored: bool) -> Result<Saliency, SaliencyError> {
        let saliency = self.explain(crop.data_bytes()?, neuron)?;
        if !with_mirrored {
            return Ok(saliency);
        }
        let mirrored = self.explain(mirror(crop)?.data_bytes()?, neuron)?;
        Ok(saliency.averaged_with_mirrored(&mirrored))
    }

    /// Whether the layer has that neuron.
    ///
    /// # Errors
    /// [`SaliencyError::NoSuchNeuron`] contains the layer's shape.
    pub fn check(&self, neuron: Neuron) -> Result<(), SaliencyError> {
        let [channels, rows, columns] = self.layer_size();
        if neuron.channel < channels && neuron.row < rows && neuron.column < columns {
            return Ok(());
        }
        let (layer, shape) = (self.layer.clone(), self.layer_shape.clone());
        Err(SaliencyError::NoSuchNeuron { layer, neuron, shape })
    }

    /// Channels, rows, columns. A layer without rows and columns has one of each.
    fn layer_size(&self) -> [usize; 3] {
        match *self.layer_shape {
            [1, channels] => [channels, 1, 1],
            [1, channels, rows, columns] => [channels, rows, columns],
            _ => [0; 3],
        }
    }

    /// A tensor of the layer's shape that is 1 at `neuron` and 0 elsewhere.
    fn one_hot(&self, neuron: Neuron) -> Result<Tensor, SaliencyError> {
        self.check(neuron)?;
        let Neuron { channel, row, column } = neuron;
        let [channels, rows, columns] = self.layer_size();
        let mut weights = vec![0.0_f32; channels * rows * columns];
        weights[(channel * rows + row) * columns + column] = 1.0;
        Ok(Tensor::from_shape(&self.layer_shape, &weights)?)
    }

    /// The sum of the channels' maps, each weighted by its mean gradient. Negative values are set to 0, and the map is
    /// scaled to the input's size.
    fn grad_cam(&self, features: &Tensor, gradient: &Tensor) -> Result<Vec<f32>, SaliencyError> {
        let &[_, _, rows, columns] = features.shape() else {
            return Err(SaliencyError::Tract(format!("feature maps of shape {:?}", features.shape())));
        };
        let (features, gradient) = (elements(features)?, elements(gradient)?);
        let area = rows * columns;
        let mut map = vec![0.0; area];
        for (features, gradient) in features.chunks_exact(area).zip(gradient.chunks_exact(area)) {
            let weight = gradient.iter().sum::<f32>() / area as f32;
            for (value, feature) in map.iter_mut().zip(features) {
                *value += weight * feature;
            }
        }
        for value in &mut map {
            *value = value.max(0.0);
        }
        let mut wide = Mat::default();
        let map = Mat::new_rows_cols_with_data(rows as i32, columns as i32, &map)?;
        resize(&map, &mut wide, self.input.size, 0.0, 0.0, INTER_LINEAR)?;
        Ok(wide.data_typed::<f32>()?.to_vec())
    }
}

fn elements(tensor: &Tensor) -> Result<Vec<f32>, SaliencyError> {
    Ok(tensor.to_plain_array_view::<f32>()?.iter().copied().collect())
}

fn graph_of(model: &Model) -> Result<&GraphProto, SaliencyError> {
    model.proto().graph.as_ref().ok_or(SaliencyError::NoSoftmax)
}

/// The name of the input of the final softmax.
fn scores_name(graph: &GraphProto) -> Result<&str, SaliencyError> {
    let softmax = graph.node.last().filter(|node| node.op_type == "Softmax");
    softmax.and_then(|node| node.input.first()).map(String::as_str).ok_or(SaliencyError::NoSoftmax)
}

fn layer_names(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().flat_map(|node| &node.output).map(String::as_str).collect()
}

/// The name of the input of the last convolution before `layer`: the deepest feature maps.
fn last_features<'a>(graph: &'a GraphProto, layer: &str) -> Result<&'a str, SaliencyError> {
    let mut wanted = vec![layer];
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|output| wanted.contains(&output.as_str())) {
            if node.op_type == "Conv" {
                return Ok(&node.input[0]);
            }
            wanted.extend(node.input.iter().map(String::as_str));
        }
    }
    Err(SaliencyError::NoConvolution { layer: layer.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use opencv::imgcodecs::{IMREAD_GRAYSCALE, imread};

    use super::*;
    use crate::attributes::crop::crop_face;
    use crate::attributes::{Attribute, BuiltIn, Emotion, Gender};
    use crate::faces::BoundingBox;

    fn model<A: BuiltIn>() -> Model {
        Model::from_bytes(A::TASK, A::MODEL, &A::outputs()).unwrap()
    }

    /// A real face, off centre.
    fn face(model: &Model) -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/astronaut.jpg");
        let gray = imread(path, IMREAD_GRAYSCALE).unwrap();
        let face = BoundingBox { x: 165, y: 60, width: 120, height: 140 };
        crop_face(&gray, face, 0.0, model.input_size()).unwrap().data_bytes().unwrap().to_vec()
    }

    /// The largest magnitude.
    fn peak(values: &[f32]) -> f32 {
        values.iter().fold(0.0, |peak, value| peak.max(value.abs()))
    }

    #[test]
    fn the_answer_is_that_of_the_classifier() {
        fn check<A: BuiltIn>() {
            let model = model::<A>();
            let face = face(&model);
            for method in [Method::Guided, Method::Gradient, Method::GradCam] {
                let saliency = Explainer::of_classes(&model, method).unwrap().explain(&face, Neuron::class(1)).unwrap();
                for (explained, answered) in saliency.probabilities.iter().zip(model.run(&face).unwrap()) {
                    // The same operations on the same numbers. tract may order them differently: 1e-6 was seen.
                    assert!((explained - answered).abs() < 5e-6, "{method:?}: {explained}, {answered}");
                }
            }
        }
        check::<Emotion>();
        check::<Gender>();
    }

    #[test]
    fn plain_gradients_of_the_probabilities_cancel_out_over_the_classes() {
        let model = model::<Emotion>();
        let explainer = Explainer::of_layer(&model, Method::Gradient, "probabilities").unwrap();
        let face = face(&model);
        let gradients: Vec<_> =
            (0..7).map(|class| explainer.explain(&face, Neuron::class(class)).unwrap().values).collect();
        let sums: Vec<f32> = (0..face.len()).map(|pixel| gradients.iter().map(|values| values[pixel]).sum()).collect();
        let largest = gradients.iter().map(|values| peak(values)).fold(0.0, f32::max);
        assert!(largest > 1e-3 && peak(&sums) < 1e-5 * largest, "{} of {largest}", peak(&sums));
    }

    // In the direction of the gradient, the slope is the gradient's length. That is far above the noise of float32.
    #[test]
    fn the_plain_gradient_is_the_slope_of_the_value() {
        let model = model::<Emotion>();
        let face = face(&model);
        let class = Neuron::class(Emotion::CLASSES.iter().position(|class| *class == Emotion::Happy).unwrap());
        let explainer = Explainer::of_layer(&model, Method::Gradient, "probabilities").unwrap();
        let gradient = explainer.explain(&face, class).unwrap().values;
        let length = gradient.iter().map(|value| value * value).sum::<f32>().sqrt();

        let image = model.input().tensor(&face).unwrap().to_plain_array_view::<f32>().unwrap().to_owned();
        // As short as float32 allows, so that few rectifiers and maxima switch.
        let step = 1e-2;
        let probability = |step: f32| {
            let moved: Vec<f32> = image.iter().zip(&gradient).map(|(x, g)| x + step * g / length).collect();
            let moved = Tensor::from_shape(image.shape(), &moved).unwrap();
            let outputs = explainer.plan.run(tvec!(moved.into(), explainer.one_hot(class).unwrap().into())).unwrap();
            elements(&outputs[0]).unwrap()[class.channel]
        };
        let slope = (probability(step) - probability(-step)) / (2.0 * step);
        assert!((slope - length).abs() < 0.02 * length, "slope {slope}, length {length}");
    }

    #[test]
    fn a_neuron_sees_only_its_part_of_the_picture() {
        let model = model::<Emotion>();
        let face = face(&model);
        for method in [Method::Guided, Method::Gradient] {
            let explainer = Explainer::of_layer(&model, method, "conv_2").unwrap();
            assert_eq!(explainer.layer_shape, [1, 8, 60, 60]);
            // Two convolutions of 3 x 3 without padding: 5 x 5 pixels from row 37 and column 20 on.
            let values = explainer.explain(&face, Neuron { channel: 3, row: 37, column: 20 }).unwrap().values;
            let seen = |pixel: &usize| (37..42).contains(&(pixel / 64)) && (20..25).contains(&(pixel % 64));
            assert!((0..values.len()).filter(|pixel| !seen(pixel)).all(|pixel| values[pixel] == 0.0));
            assert!((0..values.len()).filter(seen).any(|pixel| values[pixel] != 0.0));
        }
    }

    #[test]
    fn grad_cam_is_never_negative_and_differs_by_class() {
        let model = model::<Emotion>();
        let explainer = Explainer::of_classes(&model, Method::GradCam).unwrap();
        let maps = [3, 6].map(|class| explainer.explain(&face(&model), Neuron::class(class)).unwrap().values);
        assert!(
            maps.iter().all(|map| map.len() == 64 * 64 && map.iter().all(|value| *value >= 0.0) && peak(map) > 0.0)
        );
        assert_ne!(maps[0], maps[1]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let model = model::<Emotion>();
        let unknown = Explainer::of_layer(&model, Method::Guided, "conv_9").unwrap_err().to_string();
        assert!(unknown.contains("no layer 'conv_9'; it has conv_1, batch_norm_1"), "{unknown}");
        let explainer = Explainer::of_layer(&model, Method::Guided, "module_4/add").unwrap();
        let neuron = Neuron { channel: 0, row: 4, column: 0 };
        let outside = explainer.explain(&face(&model), neuron).unwrap_err().to_string();
        assert!(outside.contains("module_4/add has no neuron at channel 0, row 4, column 0"), "{outside}");
        let wrong_size = explainer.explain(&[0; 9], Neuron::class(0)).unwrap_err().to_string();
        assert!(wrong_size.contains("takes 4096 pixels, got 9"), "{wrong_size}");
    }
}
