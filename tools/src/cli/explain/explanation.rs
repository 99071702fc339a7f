//! A network, and what of it is explained.

use anyhow::{Context, bail};
use face_attributes::attributes::ClassifierParameters;
use face_attributes::attributes::crop::{TiltedFace, crop_face};
use face_attributes::attributes::{Attribute, Estimate};
use face_attributes::attributes::{BuiltIn, Classifier};
use face_attributes::faces::BoundingBox;
use face_attributes::network::Model;
use face_attributes::saliency::{Explainer, Neuron, Saliency, SaliencyError};
use opencv::core::{Mat, Size};

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
    parameters: ClassifierParameters,
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
    /// Loads the network that the parameters name.
    pub fn new(args: &Args, parameters: &ClassifierParameters) -> anyhow::Result<Self> {
        let classifier = Classifier::load(parameters.model_path())?;
        let target = match args.neuron {
            Some(neuron) => Target::Neuron(neuron),
            None if args.target == PREDICTED => Target::Predicted,
            None => Target::Class(class_named(&args.target)?),
        };
        let explainer = explainer(args, &classifier.model()).with_context(|| {
            parameters.model_path().map_or("the built-in network".to_owned(), |it| it.display().to_string())
        })?;
        // No answer is withheld here.
        let parameters = ClassifierParameters { min_confidence: 0.0, ..parameters.clone() };
        Ok(Self { classifier, parameters, explainer, target })
    }

    /// The size of the picture that the network takes, in pixels.
    pub fn input_size(&self) -> Size {
        self.classifier.model().input_size()
    }

    /// Explains `face` in `gray`, cropped as the classifier does.
    pub fn explain(&self, gray: &Mat, face: TiltedFace) -> anyhow::Result<Explained<A>> {
        self.explain_target(gray, face, self.target)
    }

    /// Explains which pixels of the face support `class`.
    pub fn explain_class(&self, gray: &Mat, face: BoundingBox, class: A) -> anyhow::Result<Explained<A>> {
        self.explain_target(gray, face.into(), Target::Class(class))
    }

    fn explain_target(&self, gray: &Mat, face: TiltedFace, target: Target<A>) -> anyhow::Result<Explained<A>> {
        let estimate = self.classifier.classify(gray, face, &self.parameters)?;
        let crop = crop_face(gray, face, self.parameters.margin, self.input_size())?;
        let (class, neuron) = match target {
            // In the mirrored face a neuron looks at another place, so there is no average to explain.
            Target::Neuron(neuron) => (None, neuron),
            Target::Class(class) => (Some(class), Neuron::class(class.position())),
            Target::Predicted => (estimate.label, Neuron::class(estimate.best_position())),
        };
        let with_mirrored = self.parameters.mirror && class.is_some();
        let saliency = self.explainer.explain_crop(&crop, neuron, with_mirrored)?;
        Ok(Explained { crop, estimate, class, saliency })
    }
}

fn explainer(args: &Args, model: &Model) -> Result<Explainer, SaliencyError> {
    let explainer = match &args.layer {
        Some(layer) => Explainer::of_layer(model, args.method, layer)?,
        None => Explainer::of_classes(model, args.method)?,
    };
    if let Some(neuron) = args.neuron {
        explainer.check(neuron)?;
    }
    Ok(explainer)
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
