//! The parameters that files and arguments give to one node, put together as rcl and rclcpp do it.
//!
//! All sources of a process make one list of sections, in the order in which each name first appears; `-p name:=value` belongs
//! to the section `/**`. Sections of the same name are merged. A node gets the sections that match its full name, in the
//! order of the list, and the last value of a parameter counts. One thing differs: where a section has one parameter twice with
//! values of two types, rcl keeps both and prefers a bool to an integer and that to a double; here the last counts.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{ParameterFileError, read_sections};
use super::{Kind, NodeTarget, ParameterError, Parameters, Rule, TABLE, Value, nearest};

/// The node's name where nothing else is asked for.
pub const NODE_NAME: &str = "face_attributes";

/// Parameters of every node, which ROS itself reads. All that begin with `qos_overrides.` are among them too.
const OF_EVERY_NODE: [&str; 2] = [USE_SIM_TIME, START_TYPE_DESCRIPTION_SERVICE];
const USE_SIM_TIME: &str = "use_sim_time";
const START_TYPE_DESCRIPTION_SERVICE: &str = "start_type_description_service";

/// Names that a warning lists at most.
const LISTED_SECTIONS: usize = 10;

/// What gives parameters, in the order of the arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// `--params-file PATH`
    File(PathBuf),
    /// `-p [node:]name:=value`
    Rule(Rule),
}

/// The parameters of one node and what was noticed on the way.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// The defaults, changed by what the sources give.
    pub parameters: Parameters,
    /// Whether the node's clock is the topic `/clock`.
    pub use_sim_time: bool,
    /// What was not used.
    pub warnings: Vec<Warning>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants say what they are")]
pub enum Origin {
    File { path: Arc<Path>, line: usize },
    Argument { text: String },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "parameter file {}, line {line}", path.display()),
            Self::Argument { text } => write!(f, "argument '-p {text}'"),
        }
    }
}

/// What was given and is not used; the node runs without it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Warning {
    /// No section of a file is for this node.
    NoSection { path: PathBuf, node: NodeTarget, found: Vec<String> },
    /// An argument is for another node.
    OtherNode { text: String, node: NodeTarget },
    /// This node cannot describe its types.
    NoTypeDescriptions { origin: Origin },
    /// This node has no such parameter.
    Unknown { name: String, origin: Origin, nearest: Option<&'static str> },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSection { path, node, found } => {
                write!(f, "parameter file {}: no section for the node '{node}'; ", path.display())?;
                let shown: Vec<_> = found.iter().take(LISTED_SECTIONS).map(|name| format!("'{name}'")).collect();
                match found.len().saturating_sub(LISTED_SECTIONS) {
                    0 if found.is_empty() => write!(f, "it has no sections"),
                    0 => write!(f, "it has {}", shown.join(", ")),
                    more => write!(f, "it has {} and {more} more", shown.join(", ")),
                }
            }
            Self::OtherNode { text, node } => write!(f, "argument '-p {text}': not for the node '{node}'"),
            Self::NoTypeDescriptions { origin } => {
                write!(f, "{origin}: this node has no service that describes types ({START_TYPE_DESCRIPTION_SERVICE})")
            }
            Self::Unknown { name, origin, nearest } => {
                write!(f, "{origin}: this node has no parameter '{name}'")?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean '{nearest}'?"))
            }
        }
    }
}

/// Why the sources were refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ConfigurationError {
    #[error(transparent)]
    File(#[from] ParameterFileError),
    #[error("{origin}: {error}")]
    Value { origin: Origin, error: ParameterError },
}

/// The parameters that the sources give to a node.
///
/// A parameter that this node does not have is a warning: it may be meant for all nodes of a robot. So is a file that has no
/// section for this node.
///
/// # Errors
/// [`ConfigurationError`] where a file cannot be read, or a parameter of this node is of another type or out of range.
pub fn configure(sources: &[Source], node: &NodeTarget) -> Result<Configured, ConfigurationError> {
    let mut warnings = Vec::new();
    let given = read(sources, node, &mut warnings)?.for_node(node);
    let mut parameters = Parameters::default();
    let mut use_sim_time = false;
    for Given { name, value, origin } in given {
        if name == USE_SIM_TIME {
            use_sim_time =
                bool_of(USE_SIM_TIME, &value).map_err(|error| ConfigurationError::Value { origin, error })?;
        } else if name == START_TYPE_DESCRIPTION_SERVICE {
            match bool_of(START_TYPE_DESCRIPTION_SERVICE, &value) {
                Ok(true) => warnings.push(Warning::NoTypeDescriptions { origin }),
                Ok(false) => {}
                Err(error) => return Err(ConfigurationError::Value { origin, error }),
            }
        } else if Parameters::definition(&name).is_some() {
            parameters.set(&name, &value).map_err(|error| ConfigurationError::Value { origin, error })?;
        } else if !is_of_every_node(&name) {
            let known = TABLE.iter().map(|definition| definition.name).chain(OF_EVERY_NODE);
            warnings.push(Warning::Unknown { nearest: nearest(&name, known), name, origin });
        }
    }
    Ok(Configured { parameters, use_sim_time, warnings })
}

fn bool_of(name: &'static str, value: &Value) -> Result<bool, ParameterError> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(ParameterError::Type { name, expected: Kind::Bool, got: other.clone() }),
    }
}

/// Whether ROS itself reads the parameter, in any node.
fn is_of_every_node(name: &str) -> bool {
    OF_EVERY_NODE.contains(&name) || name.starts_with("qos_overrides.")
}

/// A parameter of a section, or of a node.
#[derive(Debug, Clone)]
struct Given {
    name: String,
    value: Value,
    origin: Origin,
}

/// The sections of all sources, in the order in which they first appear.
#[derive(Default)]
struct Sections {
    sections: Vec<(String, Vec<Given>)>,
    index_of_name: HashMap<String, usize>,
}

fn read(sources: &[Source], node: &NodeTarget, warnings: &mut Vec<Warning>) -> Result<Sections, ParameterFileError> {
    let mut all = Sections::default();
    for source in sources {
        match source {
            Source::File(path) => {
                let sections = read_sections(path)?;
                if !sections.iter().any(|section| node.matches(&section.name)) {
                    let found = sections.iter().map(|section| section.name.clone()).collect();
                    warnings.push(Warning::NoSection { path: path.clone(), node: node.clone(), found });
                }
                let path: Arc<Path> = path.as_path().into();
                for section in sections {
                    let with_origin = section.entries.into_iter().map(|entry| {
                        let origin = Origin::File { path: Arc::clone(&path), line: entry.line };
                        Given { name: entry.name, value: entry.value, origin }
                    });
                    all.section(section.name).extend(with_origin);
                }
            }
            Source::Rule(Rule { text, section, name, value }) => {
                if !node.matches(section) {
                    warnings.push(Warning::OtherNode { text: text.clone(), node: node.clone() });
                }
                let origin = Origin::Argument { text: text.clone() };
                let given = Given { name: name.clone(), value: value.clone(), origin };
                all.section(section.clone()).push(given);
            }
        }
    }
    Ok(all)
}

impl Sections {
    /// The section of this name, which is new or continued.
    fn section(&mut self, name: String) -> &mut Vec<Given> {
        let index = *self.index_of_name.entry(name).or_insert_with_key(|name| {
            self.sections.push((name.clone(), Vec::new()));
            self.sections.len() - 1
        });
        &mut self.sections[index].1
    }

    /// The parameters of a node; of equal names the last stays, in the place of the first.
    fn for_node(self, node: &NodeTarget) -> Vec<Given> {
        let mut given: Vec<Given> = Vec::new();
        let mut index_of_name = HashMap::new();
        let matching = self.sections.into_iter().filter(|(name, _)| node.matches(name));
        for last in matching.flat_map(|(_, section)| section) {
            let index = *index_of_name.entry(last.name.clone()).or_insert(given.len());
            match given.get_mut(index) {
                Some(earlier) => *earlier = last,
                None => given.push(last),
            }
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NODE: &str = "/robot/face_attributes";

    /// Configures the node from these sources: what holds a line end is a file, all else an argument.
    fn configure_from(sources: &[&str], node: &NodeTarget) -> Result<Configured, String> {
        let folder = tempfile::tempdir().unwrap();
        let source = |(index, text): (usize, &&str)| {
            if !text.contains('\n') {
                return Source::Rule(text.parse().unwrap());
            }
            let path = folder.path().join(format!("{index}.yaml"));
            fs::write(&path, text).unwrap();
            Source::File(path)
        };
        let sources: Vec<_> = sources.iter().enumerate().map(source).collect();
        // The folder's name differs from run to run.
        configure(&sources, node).map_err(|error| error.to_string().replace(folder.path().to_str().unwrap(), "/tmp"))
    }

    fn full_name() -> NodeTarget {
        NodeTarget::FullName(NODE.to_owned())
    }

    fn margin(sources: &[&str]) -> Value {
        let configured = configure_from(sources, &full_name()).unwrap();
        assert_eq!(configured.warnings, []);
        configured.parameters.get("gender.margin").unwrap()
    }

    /// The warnings' texts without the folder of the files.
    fn warnings(sources: &[&str], node: &NodeTarget) -> Vec<String> {
        let text = |warning: &Warning| {
            let text = warning.to_string();
            let (file, rest) = text.split_once(".yaml").unwrap_or(("", &text));
            file.rsplit_once('/').map_or_else(|| rest.to_owned(), |(_, name)| format!("{name}.yaml{rest}"))
        };
        configure_from(sources, node).unwrap().warnings.iter().map(text).collect()
    }

    #[test]
    fn the_last_matching_section_wins_whatever_its_pattern() {
        let sections = [
            "/**",
            "/robot/*",
            "/**/face_attributes",
            "/robot/face_attributes",
            "robot/face_attributes",
            "/*/face_attributes",
        ];
        for first in sections {
            for second in sections.iter().filter(|second| **second != first) {
                let text = format!(
                    "{first}:\n  ros__parameters: {{gender.margin: 0.1}}\n\
                     {second}:\n  ros__parameters: {{gender: {{margin: 0.2}}}}\n\
                     /other:\n  ros__parameters: {{gender: {{margin: 0.9}}}}\n",
                );
                assert_eq!(margin(&[&text]), Value::Double(0.2), "{text}");
            }
        }
    }

    #[test]
    fn sources_make_one_list_in_which_a_section_keeps_its_first_place() {
        let every = "/**:\n  ros__parameters: {gender.margin: 0.1}\n";
        let own = "/robot/face_attributes:\n  ros__parameters: {gender.margin: 0.2}\n";
        assert_eq!(margin(&[every, "gender.margin:=0.3"]), Value::Double(0.3));
        assert_eq!(margin(&["gender.margin:=0.3", every]), Value::Double(0.1));
        assert_eq!(margin(&[own, every]), Value::Double(0.1));
        // `/**` came before the node's own section, and the argument belongs to `/**`.
        assert_eq!(margin(&[every, own, "gender.margin:=0.3"]), Value::Double(0.2));
        assert_eq!(margin(&[own, "gender.margin:=0.3"]), Value::Double(0.3));
        assert_eq!(margin(&["gender.margin:=1", "gender.margin:=0.5"]), Value::Double(0.5));
    }

    #[test]
    fn equal_sections_and_yaml_1_1_booleans_mean_what_they_mean_to_rcl() {
        let text = "/**:\n  ros__parameters:\n    emotion:\n      enabled: no\n\
                    /**:\n  ros__parameters:\n    detector:\n      min_neighbors: 010\n    gender: {enabled: Off}\n";
        for node in [full_name(), NodeTarget::AnyNamespace(NODE_NAME.to_owned())] {
            let Configured { parameters, warnings, .. } = configure_from(&[text], &node).unwrap();
            assert_eq!(warnings, []);
            assert_eq!(parameters.get("emotion.enabled"), Some(Value::Bool(false)));
            assert_eq!(parameters.get("gender.enabled"), Some(Value::Bool(false)));
            assert_eq!(parameters.get("detector.min_neighbors"), Some(Value::Integer(8)));
        }
    }

    #[test]
    fn a_file_without_a_section_for_the_node_is_a_warning_with_what_it_has() {
        let many: String = (0..13).map(|i| format!("node{i}: {{ros__parameters: {{a: 1}}}}\n")).collect();
        for (text, expected) in [
            ("\n", "0.yaml: no section for the node '/robot/face_attributes'; it has no sections"),
            ("# nothing\n", "it has no sections"),
            ("face_atributes: {ros__parameters: {a: 1}}\n", "it has 'face_atributes'"),
            ("face_attributes: {ros__parameters: {a: 1}}\n", "it has 'face_attributes'"),
            ("/other/*: {ros__parameters: {a: 1}}\n/x: {ros__parameters: {}}\n", "it has '/other/*', '/x'"),
            (&many, "'node8', 'node9' and 3 more"),
        ] {
            let [warning] = warnings(&[text], &full_name()).try_into().unwrap();
            assert!(warning.ends_with(expected), "{warning}");
        }
        for text in ["/**:\n  ros__parameters: {}\n", "/robot: {face_attributes: {ros__parameters: {}}}\n"] {
            assert_eq!(warnings(&[text], &full_name()), [""; 0], "{text}");
        }
        let any = NodeTarget::AnyNamespace(NODE_NAME.to_owned());
        assert_eq!(warnings(&["/x/face_attributes: {ros__parameters: {}}\n"], &any), [""; 0]);
        let found = warnings(&["/x/face_atributes: {ros__parameters: {}}\n"], &any);
        assert_eq!(found, ["0.yaml: no section for the node 'face_attributes'; it has '/x/face_atributes'"]);
        let other = warnings(&["other:gender.margin:=0.3", "face_attributes:gender.margin:=0.3"], &full_name());
        assert_eq!(other[0], "argument '-p other:gender.margin:=0.3': not for the node '/robot/face_attributes'");
        assert_eq!(other.len(), 2, "in a namespace, a plain name means another node");
    }

    #[test]
    fn a_parameter_of_other_nodes_is_a_warning_with_the_nearest_own_one() {
        let text = "/**:\n  ros__parameters:\n    robot_name: tiago\n    use_sim_time: true\n    gender: 3\n\
                    \n    detector.min_neighbours: 7\n    footprint: [0.1, 0.2]\n    qos_overrides: {/image: {depth: 1}}\n\
                    \n    start_type_description_service: false\n    gender.margin: 0.5\n";
        let described = warnings(&["start_type_description_service:=true"], &full_name());
        assert!(
            described[0].ends_with("this node has no service that describes types (start_type_description_service)")
        );
        let found = warnings(&[text, "detector.scale_facto:=2.0", "robot_name:=pepper"], &full_name());
        let expected = [
            "argument '-p robot_name:=pepper': this node has no parameter 'robot_name'",
            "0.yaml, line 5: this node has no parameter 'gender'; did you mean 'gender.model'?",
            "0.yaml, line 7: this node has no parameter 'detector.min_neighbours'; did you mean 'detector.min_neighbors'?",
            "0.yaml, line 8: this node has no parameter 'footprint'",
            "argument '-p detector.scale_facto:=2.0': this node has no parameter 'detector.scale_facto'; did you mean \
             'detector.scale_factor'?",
        ];
        assert_eq!(found, expected);
        let configured = configure_from(&[text], &full_name()).unwrap();
        assert!(configured.use_sim_time);
        assert_eq!(configured.parameters.get("gender.margin"), Some(Value::Double(0.5)));
    }

    #[test]
    fn a_wrong_value_of_an_own_parameter_is_an_error_that_says_where_and_why_once() {
        for (sources, expected) in [
            (&["/**:\n  ros__parameters:\n    detector: {scale_factor: 0.5}\n"][..], {
                "parameter file /tmp/0.yaml, line 3: parameter 'detector.scale_factor' takes 1.05 to 2, got 0.5"
            }),
            (&["/**:\n  ros__parameters: {}\n", "gender.margin:=wide"], {
                "argument '-p gender.margin:=wide': parameter 'gender.margin' is of type double, got \"wide\""
            }),
            (&["/**: {ros__parameters: {gender.enabled: 'off'}}\n"], {
                "parameter file /tmp/0.yaml, line 1: parameter 'gender.enabled' is of type bool, got \"off\""
            }),
            (
                &["gender.margin:=[0.1]"],
                "argument '-p gender.margin:=[0.1]': parameter 'gender.margin' is of type double, got [0.1]",
            ),
            (&["use_sim_time:=5"], "argument '-p use_sim_time:=5': parameter 'use_sim_time' is of type bool, got 5"),
            (&["/**:\n  ros__parameters:\n    gender:\n"], {
                "parameter file /tmp/0.yaml, line 3: parameter 'gender' has no value; an empty string is written ''"
            }),
        ] {
            assert_eq!(configure_from(sources, &full_name()).unwrap_err(), expected);
        }
        // Only the value that counts is checked.
        assert_eq!(margin(&["gender.margin:=9.0", "gender.margin:=0.5"]), Value::Double(0.5));
        let other = "/other:\n  ros__parameters: {gender.margin: 9.0}\n/**:\n  ros__parameters: {gender.margin: 0.5}\n";
        assert_eq!(margin(&[other]), Value::Double(0.5));
    }
}
