//! All parameters. The ROS node and the command line read the same parameters from the same files.
//!
//! Each stage owns the struct of its parameters with their defaults. [`TABLE`] lists all of them with name, type, range,
//! choices, description and accessors. The node's parameter services use it, and a test compares the README's table with it.
//! [`configure`] reads parameter files and arguments with rcl's rules.

mod definition;
mod file;
mod nearest;
mod overrides;
mod rule;
mod scalar;
mod table;
mod target;
mod value;
mod yaml;

pub use definition::{Definition, Field, Mutability, ParameterError};
pub use file::ParameterFileError;
pub use nearest::nearest;
pub use overrides::{ConfigurationError, Configured, NODE_NAME, Origin, Source, Warning, configure};
pub use rule::{Rule, RuleError, is_token};
pub use table::TABLE;
pub use target::NodeTarget;
pub use value::{Kind, Value};
pub use yaml::YamlError;

use crate::pipeline::PipelineParameters;
use crate::saliency::SaliencyParameters;

/// All parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Names of the cameras; empty for one camera without a name. The command line ignores it.
    pub cameras: Vec<String>,
    /// Whether the node configures and activates itself at its start. The command line ignores it.
    pub autostart: bool,
    /// How images are received.
    pub image: ImageParameters,
    /// How faces are found and classified.
    pub pipeline: PipelineParameters,
    /// How answers are explained.
    pub saliency: SaliencyParameters,
    /// What the node publishes of them for others.
    pub outputs: OutputParameters,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            cameras: Vec::new(),
            autostart: true,
            image: ImageParameters::default(),
            pipeline: PipelineParameters::default(),
            saliency: SaliencyParameters::default(),
            outputs: OutputParameters::default(),
        }
    }
}

/// How the node receives images. The command line reads these parameters too, because the files are the same, and
/// ignores them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageParameters {
    /// DDS reliability of the subscription.
    pub reliability: Reliability,
    /// Which topic is subscribed to.
    pub transport: Transport,
    /// Largest number of images per second that are processed; 0 for all.
    pub max_rate_hz: f64,
}

/// What the node publishes on the topics of others. The command line ignores these parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct OutputParameters {
    /// Whether the places of faces are published as transforms.
    pub tf: bool,
    /// Whether faces are published as REP-155 has it, where the node was built with that.
    pub humans: bool,
    /// Whether apparent gender is among that.
    pub softbiometrics: bool,
}

impl Default for OutputParameters {
    fn default() -> Self {
        Self { tf: false, humans: true, softbiometrics: true }
    }
}

/// DDS reliability of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of DDS")]
pub enum Reliability {
    /// Reliable where every publisher of the topic is, else best effort.
    #[default]
    Auto,
    BestEffort,
    Reliable,
}

impl Reliability {
    /// All with their names, the default first.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Auto, "auto"), (Self::BestEffort, "best_effort"), (Self::Reliable, "reliable")];
}

/// How a camera sends its images, as image_transport names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// `sensor_msgs/Image` on the topic itself.
    #[default]
    Raw,
    /// `sensor_msgs/CompressedImage` on the topic `compressed` below it.
    Compressed,
}

impl Transport {
    /// Both with their names, the default first.
    pub const NAMES: [(Self, &'static str); 2] = [(Self::Raw, "raw"), (Self::Compressed, "compressed")];
}

impl Parameters {
    /// The definition of the parameter `name`.
    pub fn definition(name: &str) -> Option<&'static Definition> {
        TABLE.iter().find(|definition| definition.name == name)
    }

    /// The value of the parameter `name`.
    pub fn get(&self, name: &str) -> Option<Value> {
        Self::definition(name).map(|definition| definition.get(self))
    }

    /// Changes one parameter. An integer is converted where a double is expected.
    ///
    /// # Errors
    /// [`ParameterError`] where there is no such parameter, or where the value is of another type or out of range. Then
    /// nothing is changed.
    pub fn set(&mut self, name: &str, value: &Value) -> Result<(), ParameterError> {
        let unknown = || ParameterError::Unknown { name: name.to_owned() };
        Self::definition(name).ok_or_else(unknown)?.set(self, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_is_described_and_its_default_is_valid() {
        assert_eq!(TABLE.len(), 36);
        assert_eq!(TABLE[2].name, "image.reliability");
        for definition in &TABLE {
            assert!(!definition.description.is_empty(), "{}", definition.name);
            let mut parameters = Parameters::default();
            let default = definition.get(&parameters);
            assert_eq!(parameters.set(definition.name, &default), Ok(()), "{}", definition.name);
            assert_eq!(parameters, Parameters::default());
        }
    }

    #[test]
    fn each_parameter_is_written_to_where_it_is_read_from_and_nowhere_else() {
        for definition in &TABLE {
            let other = match &definition.field {
                Field::Bool { .. } => Value::Bool(definition.get(&Parameters::default()) == Value::Bool(false)),
                Field::Integer { range: (min, max), .. } => Value::Integer(i64::from((min + max) / 2 + 1)),
                Field::Double { range: (min, max), .. } => Value::Double((min + max) / 2.01),
                Field::String { .. } => Value::from("/some/file"),
                Field::Choice { choices, .. } => Value::from(choices().last().copied().unwrap()),
                Field::Strings { .. } => Value::Strings(vec!["front".to_owned(), "rear_2".to_owned()]),
            };
            let mut parameters = Parameters::default();
            parameters.set(definition.name, &other).unwrap();
            for changed in &TABLE {
                let default = changed.get(&Parameters::default());
                let expected = if changed.name == definition.name { &other } else { &default };
                assert_eq!(changed.get(&parameters), *expected, "{} after {}", changed.name, definition.name);
            }
        }
    }

    #[test]
    fn the_file_that_ships_holds_the_defaults() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/face_attributes.yaml");
        let node = NodeTarget::FullName(format!("/{NODE_NAME}"));
        let configured = configure(&[Source::File(path)], &node).unwrap();
        assert_eq!((configured.parameters, configured.warnings), (Parameters::default(), Vec::new()));
    }

    #[test]
    fn an_integer_is_taken_for_a_double_and_the_type_stays() {
        let mut parameters = Parameters::default();
        parameters.set("emotion.min_confidence", &Value::Integer(1)).unwrap();
        assert_eq!(parameters.pipeline.attributes.emotion.min_confidence, 1.0);
        assert_eq!(parameters.get("emotion.min_confidence"), Some(Value::Double(1.0)));
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name_and_changes_nothing() {
        let wide = Value::from("wide");
        let strings = |texts: &[&str]| Value::Strings(texts.iter().map(|text| (*text).to_owned()).collect());
        let refusals = [
            ("detector.scale", Value::Double(1.2), "there is no parameter 'detector.scale'"),
            ("detector", Value::Double(1.2), "there is no parameter 'detector'"),
            ("gender.margin", wide, "parameter 'gender.margin' is of type double, got \"wide\""),
            ("gender.margin", Value::Double(f64::NAN), "parameter 'gender.margin' takes 0 to 1, got NaN"),
            ("gender.margin", Value::Double(f64::INFINITY), "parameter 'gender.margin' takes 0 to 1, got inf"),
            ("gender.enabled", Value::Integer(1), "parameter 'gender.enabled' is of type bool, got 1"),
            ("detector.min_neighbors", Value::Double(2.5), "'detector.min_neighbors' is of type integer, got 2.5"),
            ("detector.min_neighbors", Value::Integer(i64::MAX), "takes 1 to 50, got 9223372036854775807"),
            ("detector.scale_factor", Value::Double(1.0), "'detector.scale_factor' takes 1.05 to 2, got 1.0"),
            ("detector.threads", Value::Integer(99), "parameter 'detector.threads' takes 1 to 64, got 99"),
            ("detector.cascade", Value::Other("[1, 2]".to_owned()), "is of type string, got [1, 2]"),
            ("emotion.model", Value::from("a\0b"), "'emotion.model' takes no text with a zero byte, got \"a\\0b\""),
            ("image.reliability", Value::from("maybe"), "one of auto, best_effort, reliable, got \"maybe\""),
            ("saliency.method", Value::from("lrp"), "one of guided, gradient, grad-cam, got \"lrp\""),
            ("saliency.target", Value::from("glad"), "one of predicted, angry, disgust,"),
            ("cameras", Value::from("front"), "parameter 'cameras' is of type string_array, got \"front\""),
            ("cameras", strings(&["front", "2"]), "parameter 'cameras' takes names of letters, digits and '_'"),
            ("cameras", strings(&["front/left"]), "got \"front/left\""),
            ("cameras", strings(&["rear", ""]), "got \"\""),
            ("cameras", strings(&["rear", "front", "rear"]), "'cameras' takes each element once, got \"rear\" again"),
        ];
        for (name, value, reason) in refusals {
            let mut parameters = Parameters::default();
            let message = parameters.set(name, &value).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
            assert_eq!(parameters, Parameters::default());
        }
    }
}
