//! Everything a user can tune. The ROS node and the command line read the same parameters from the same file.
//!
//! The structs below are the only home of each parameter: the fields' names make its ROS name (`detector.min_face_size`),
//! the doc comment is the description that `ros2 param describe` shows, the attributes give its range and whether it is
//! fixed once the node runs, and [`Parameters::default`] its default.

use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attributes::{Attribute, Emotion, Gender};
use crate::saliency::Method;

/// All parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Parameters {
    /// How images are received.
    pub image: ImageParameters,
    /// How faces are found.
    pub detector: DetectorParameters,
    /// How emotions are classified.
    pub emotion: ClassifierParameters,
    /// How apparent gender is classified.
    pub gender: ClassifierParameters,
    /// How answers are explained.
    pub saliency: SaliencyParameters,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            image: ImageParameters { reliability: Reliability::BestEffort },
            detector: DetectorParameters {
                cascade: String::new(),
                min_face_size: 0.125,
                scale_factor: 1.3,
                min_neighbors: 5,
                threads: 1,
            },
            // The margins make of a detector's box what each network learned on; models/README.md says how they were found.
            emotion: ClassifierParameters {
                enabled: true,
                model: String::new(),
                min_confidence: 0.4,
                margin: 0.0,
                // Nearly a percentage point of accuracy for about a tenth of an image's time.
                mirror: true,
            },
            gender: ClassifierParameters {
                enabled: true,
                model: String::new(),
                min_confidence: 0.6,
                margin: 0.2,
                mirror: false,
            },
            saliency: SaliencyParameters {
                method: Method::Guided,
                target: SaliencyTarget::Predicted,
                rate: 5.0,
                overlay: false,
            },
        }
    }
}

/// How the node receives images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImageParameters {
    /// Reliability asked of the camera: best_effort hears every camera, reliable only those that publish reliably.
    #[schemars(extend("readOnly" = true))]
    pub reliability: Reliability,
}

/// DDS reliability of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of DDS")]
pub enum Reliability {
    BestEffort,
    Reliable,
}

/// How faces are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectorParameters {
    /// Path of the Haar cascade; empty for the frontal face cascade of OpenCV's data package.
    #[schemars(extend("readOnly" = true))]
    pub cascade: String,
    /// Smallest face that is looked for, as a fraction of the image's shorter side: the main lever on CPU time.
    #[schemars(range(min = 0.01, max = 1.0))]
    pub min_face_size: f64,
    /// Ratio of one face size that is looked for to the next: nearer to 1 finds more faces and costs more time.
    #[schemars(range(min = 1.05, max = 2.0))]
    pub scale_factor: f64,
    /// Neighbouring detections that make a face: more of them give fewer false faces and miss more true ones.
    #[schemars(range(min = 1, max = 50))]
    pub min_neighbors: i32,
    /// Threads that OpenCV may use in this process: more of them shorten the delay, not the CPU time.
    #[schemars(range(min = 1, max = 64))]
    pub threads: i32,
}

/// How one attribute is classified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassifierParameters {
    /// Whether this attribute is classified at all.
    pub enabled: bool,
    /// Path of the network's ONNX file; empty for the network that is built in.
    #[schemars(extend("readOnly" = true))]
    pub model: String,
    /// Probability below which the answer is unknown.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub min_confidence: f64,
    /// What is cropped around the face on each side, as a fraction of the face's size.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub margin: f64,
    /// Whether the mirrored face is classified too and both answers are averaged: a little better for twice the network's time.
    pub mirror: bool,
}

/// How answers are explained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SaliencyParameters {
    /// What shows which pixels matter: guided back-propagation, the plain gradient, or Grad-CAM.
    pub method: Method,
    /// The class that is explained: the predicted one of each network, or always this one.
    pub target: SaliencyTarget,
    /// How many images per second are explained at most.
    #[schemars(range(min = 0.1, max = 100.0))]
    pub rate: f64,
    /// Whether image_annotated shows what matters, over the faces; it then comes at saliency.rate.
    pub overlay: bool,
}

/// The class that is explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the classes")]
pub enum SaliencyTarget {
    Predicted,
    Angry,
    Disgust,
    Fear,
    Happy,
    Sad,
    Surprise,
    Neutral,
    Woman,
    Man,
}

impl SaliencyTarget {
    /// The emotion that it names, if it is one.
    pub fn emotion(self) -> Option<Emotion> {
        match self {
            Self::Angry => Some(Emotion::Angry),
            Self::Disgust => Some(Emotion::Disgust),
            Self::Fear => Some(Emotion::Fear),
            Self::Happy => Some(Emotion::Happy),
            Self::Sad => Some(Emotion::Sad),
            Self::Surprise => Some(Emotion::Surprise),
            Self::Neutral => Some(Emotion::Neutral),
            Self::Predicted | Self::Woman | Self::Man => None,
        }
    }

    /// What the network classifies that knows it; `None` for the predicted class of each.
    pub fn task(self) -> Option<&'static str> {
        self.emotion().map(|_| Emotion::TASK).or(self.gender().map(|_| Gender::TASK))
    }

    /// The gender that it names, if it is one.
    pub fn gender(self) -> Option<Gender> {
        match self {
            Self::Woman => Some(Gender::Woman),
            Self::Man => Some(Gender::Man),
            _ => None,
        }
    }
}

impl DetectorParameters {
    /// The cascade's file, `None` where it is OpenCV's.
    pub fn cascade_path(&self) -> Option<&Path> {
        path_if_any(&self.cascade)
    }
}

impl ClassifierParameters {
    /// The network's file, `None` where it is the one built in.
    pub fn model_path(&self) -> Option<&Path> {
        path_if_any(&self.model)
    }
}

/// An empty path stands for the default, as ROS has no optional parameters.
fn path_if_any(path: &str) -> Option<&Path> {
    (!path.is_empty()).then(|| Path::new(path))
}

/// The type of a parameter's value, by its ROS name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Kind {
    Bool,
    Integer,
    Double,
    String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::String => "string",
        })
    }
}

/// What is known of a parameter apart from its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Dotted name, for example `detector.min_face_size`.
    pub name: String,
    /// Type of the value.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub description: String,
    /// Smallest and largest value of a number.
    pub range: Option<(f64, f64)>,
    /// The values that a string is limited to, if it is.
    pub choices: Vec<String>,
    /// Whether the value is fixed once the node runs.
    pub read_only: bool,
    /// The value where none is given.
    pub default: Value,
}

/// Why a parameter was refused; the old value stays.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ParameterError {
    #[error("there is no parameter '{name}'")]
    Unknown { name: String },
    #[error("parameter '{name}' is of type {expected}, got {got}")]
    Type { name: String, expected: Kind, got: String },
    #[error("parameter '{name}' takes {min} to {max}, got {got}")]
    Range { name: String, min: f64, max: f64, got: String },
    #[error("parameter '{name}' takes one of {}, got {got}", choices.join(", "))]
    Choice { name: String, choices: Vec<String>, got: String },
}

impl Parameters {
    /// Every parameter, in the order of the structs.
    pub fn definitions() -> Vec<Definition> {
        let schema = schemars::generate::SchemaSettings::default()
            .with(|settings| settings.inline_subschemas = true)
            .into_generator()
            .into_root_schema_for::<Self>();
        let mut definitions = Vec::new();
        collect_definitions(schema.as_value(), &Self::default().to_value(), "", &mut definitions);
        definitions
    }

    /// The value of the parameter `name`.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.to_value().pointer(&pointer(name)).filter(|value| !value.is_object()).cloned()
    }

    /// These parameters with one changed; an integer is taken for a double.
    ///
    /// # Errors
    /// [`ParameterError`] where there is no such parameter, or its value is of another type or out of range.
    pub fn with(&self, name: &str, value: Value) -> Result<Self, ParameterError> {
        let unknown = || ParameterError::Unknown { name: name.to_owned() };
        let definition = Self::definitions().into_iter().find(|d| d.name == name).ok_or_else(unknown)?;
        let value = definition.check(value)?;
        let mut tree = self.to_value();
        *tree.pointer_mut(&pointer(name)).ok_or_else(unknown)? = value.clone();
        // The checks above leave serde no reason to refuse; should one be missing, it is the type that does not fit.
        serde_json::from_value(tree).map_err(|_| definition.wrong_type(value))
    }

    fn to_value(&self) -> Value {
        // Plain structs of numbers, strings and bools always serialise.
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Definition {
    fn check(&self, value: Value) -> Result<Value, ParameterError> {
        let value = match (self.kind, &value) {
            (Kind::Bool, Value::Bool(_)) | (Kind::String, Value::String(_)) => value,
            (Kind::Integer, Value::Number(number)) if number.is_i64() => value,
            (Kind::Double, Value::Number(number)) => number.as_f64().map_or(Value::Null, Value::from),
            _ => return Err(self.wrong_type(value)),
        };
        if let (Some((min, max)), Some(number)) = (self.range, value.as_f64())
            && !(min..=max).contains(&number)
        {
            return Err(ParameterError::Range { name: self.name.clone(), min, max, got: value.to_string() });
        }
        if let (false, Some(string)) = (self.choices.is_empty(), value.as_str())
            && !self.choices.iter().any(|choice| choice == string)
        {
            return Err(ParameterError::Choice {
                name: self.name.clone(),
                choices: self.choices.clone(),
                got: value.to_string(),
            });
        }
        Ok(value)
    }

    fn wrong_type(&self, got: Value) -> ParameterError {
        ParameterError::Type { name: self.name.clone(), expected: self.kind, got: got.to_string() }
    }
}

/// Walks the JSON schema and the default values alongside, and notes each leaf.
fn collect_definitions(schema: &Value, default: &Value, name: &str, definitions: &mut Vec<Definition>) {
    if let Some(properties) = schema["properties"].as_object() {
        for (field, schema) in properties {
            let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
            collect_definitions(schema, &default[field], &name, definitions);
        }
        return;
    }
    let kind = match default {
        Value::Bool(_) => Kind::Bool,
        Value::Number(number) if number.is_i64() => Kind::Integer,
        Value::Number(_) => Kind::Double,
        _ => Kind::String,
    };
    // An enum whose variants have documentation is described variant by variant.
    let plain = schema["enum"].as_array().into_iter().flatten();
    let documented = schema["oneOf"].as_array().into_iter().flatten();
    let choices = plain.chain(documented.map(|variant| &variant["const"]));
    definitions.push(Definition {
        name: name.to_owned(),
        kind,
        description: schema["description"].as_str().unwrap_or_default().to_owned(),
        range: schema["minimum"].as_f64().zip(schema["maximum"].as_f64()),
        choices: choices.filter_map(|choice| choice.as_str().map(str::to_owned)).collect(),
        read_only: schema["readOnly"].as_bool().unwrap_or(false),
        default: default.clone(),
    });
}

/// The JSON pointer of a dotted name.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('.', "/"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_parameter_is_described_and_its_default_is_valid() {
        let definitions = Parameters::definitions();
        assert_eq!(definitions.len(), 20);
        assert_eq!(definitions[0].name, "image.reliability");
        for definition in definitions {
            assert!(!definition.description.is_empty(), "{}", definition.name);
            let number = matches!(definition.kind, Kind::Integer | Kind::Double);
            assert_eq!(definition.range.is_some(), number, "{}", definition.name);
            let unchanged = Parameters::default().with(&definition.name, definition.default.clone());
            assert_eq!(unchanged.as_ref(), Ok(&Parameters::default()), "{}", definition.name);
            assert_eq!(Parameters::default().get(&definition.name), Some(definition.default));
        }
    }

    #[test]
    fn a_value_is_changed_and_an_integer_is_taken_for_a_double() {
        let changed = Parameters::default().with("emotion.min_confidence", json!(1)).unwrap();
        assert_eq!(changed.emotion.min_confidence, 1.0);
        assert_eq!(changed.get("emotion.min_confidence"), Some(json!(1.0)));
        let changed = changed.with("image.reliability", json!("reliable")).unwrap();
        assert_eq!(changed.image.reliability, Reliability::Reliable);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refusals = [
            ("detector.scale", json!(1.2), "there is no parameter 'detector.scale'"),
            ("detector", json!(1.2), "there is no parameter 'detector'"),
            ("gender.margin", json!("wide"), "parameter 'gender.margin' is of type double, got \"wide\""),
            ("gender.enabled", json!(1), "parameter 'gender.enabled' is of type bool, got 1"),
            ("detector.min_neighbors", json!(2.5), "parameter 'detector.min_neighbors' is of type integer, got 2.5"),
            ("detector.scale_factor", json!(1.0), "parameter 'detector.scale_factor' takes 1.05 to 2, got 1.0"),
            ("detector.threads", json!(99), "parameter 'detector.threads' takes 1 to 64, got 99"),
            ("image.reliability", json!("maybe"), "one of best_effort, reliable, got \"maybe\""),
            ("saliency.method", json!("lrp"), "one of guided, gradient, grad-cam, got \"lrp\""),
            ("saliency.target", json!("glad"), "one of predicted, angry, disgust,"),
        ];
        for (name, value, reason) in refusals {
            let message = Parameters::default().with(name, value).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
