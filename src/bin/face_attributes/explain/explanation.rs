//! A network, and what of it is explained.

use std::path::Path;

use anyhow::{Context, bail};
use face_attributes::attributes::{Attribute, Estimate};
use face_attributes::classifier::{BuiltIn, Classifier};
use face_attributes::crop::crop_face;
use face_attributes::geometry::BoundingBox;
use face_attributes::saliency::{Explainer, Neuron, Saliency};
use opencv::core::{Mat, Size};
use opencv::prelude::*;

use super::{Args, PREDICTED};

/// What is explained.
#[derive(Debug, Clone, Copy)]
enum Target<A> {
    /// The class of each answer.
    Predicted,
    Class(A),
    Neuron(Neuron),
}

/// A network and its explainer.
pub struct Explanation<A> {
    classifier: Classifier<A>,
    explainer: Explainer,
    target: Target<A>,
}

/// A face that was explained.
pub struct Explained<A> {
    /// Grey, 8-bit, of the size that the network takes.
    pub crop: Mat,
    pub estimate: Estimate<A>,
    /// `None` where a neuron was explained.
    pub class: Option<A>,
    pub saliency: Saliency,
}

impl<A: BuiltIn> Explanation<A> {
    /// Loads the network at `path`, or the one that is built in where `path` is `None`.
    pub fn new(args: &Args, path: Option<&Path>) -> anyhow::Result<Self> {
        let classifier = Classifier::load(path)?;
        let target = match args.neuron {
            Some(neuron) => Target::Neuron(neuron),
            None if args.target == PREDICTED => Target::Predicted,
            None => Target::Class(class_named(&args.target)?),
        };
        let explainer = match &args.layer {
            Some(layer) => Explainer::of_layer(classifier.model(), args.method, layer)?,
            None => Explainer::of_classes(classifier.model(), args.method)?,
        };
        Ok(Self { classifier, explainer, target })
    }

    /// The size of the picture that the network takes, in pixels.
    pub fn input_size(&self) -> Size {
        self.classifier.model().input_size()
    }

    /// Explains the face in the box `face` of `gray`, cropped as the classifier does.
    pub fn explain(&self, gray: &Mat, face: BoundingBox, margin: f64) -> anyhow::Result<Explained<A>> {
        self.explain_target(gray, face, margin, self.target)
    }

    /// Explains what in the face speaks for `class`.
    pub fn explain_class(&self, gray: &Mat, face: BoundingBox, margin: f64, class: A) -> anyhow::Result<Explained<A>> {
        self.explain_target(gray, face, margin, Target::Class(class))
    }

    fn explain_target(
        &self,
        gray: &Mat,
        face: BoundingBox,
        margin: f64,
        target: Target<A>,
    ) -> anyhow::Result<Explained<A>> {
        let model = self.classifier.model();
        let crop = crop_face(gray, face, margin, model.input_size())?;
        let pixels = crop.data_bytes()?;
        let estimate = Estimate::from_probabilities(model.run(pixels)?, 0.0);
        let (class, neuron) = match target {
            Target::Neuron(neuron) => (None, neuron),
            Target::Class(class) => (Some(class), neuron_of(class)?),
            Target::Predicted => {
                let class = estimate.label.context("the network answers with no number")?;
                (Some(class), neuron_of(class)?)
            }
        };
        let saliency = self.explainer.explain(pixels, neuron)?;
        Ok(Explained { crop, estimate, class, saliency })
    }
}

fn class_named<A: Attribute>(name: &str) -> anyhow::Result<A> {
    match A::CLASSES.iter().find(|class| class.name() == name) {
        Some(class) => Ok(*class),
        None => {
            let classes: Vec<_> = A::CLASSES.iter().map(|class| class.name()).collect();
            bail!("--target: '{name}' is no class of {}, which are {}", A::TASK, classes.join(", "))
        }
    }
}

fn neuron_of<A: Attribute>(class: A) -> anyhow::Result<Neuron> {
    let position = A::CLASSES.iter().position(|other| *other == class);
    Ok(Neuron::class(position.with_context(|| format!("{class:?} is no class of {}", A::TASK))?))
}
