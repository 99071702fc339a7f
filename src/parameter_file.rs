//! Reads a ROS 2 parameter file, so that what was tuned on the robot holds on the desk and the other way round.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::Value;

use crate::parameters::{ParameterError, Parameters};

/// The node whose sections of a parameter file are read.
pub const NODE_NAME: &str = "face_attributes";

/// Keys that each ROS node understands without declaring them.
const KEYS_OF_EVERY_NODE: [&str; 3] = ["use_sim_time", "start_type_description_service", "qos_overrides"];

/// Why a parameter file was refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ParameterFileError {
    #[error("parameter file {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("parameter file {}: {error}", path.display())]
    Syntax { path: PathBuf, error: serde_yaml::Error },
    #[error(
        "parameter file {}: no section for the node {NODE_NAME}; expected for example '/**:' and below it 'ros__parameters:'",
        path.display()
    )]
    NoSection { path: PathBuf },
    #[error("parameter file {}: {error}", path.display())]
    Parameter { path: PathBuf, error: ParameterError },
}

/// The parameters of a ROS 2 parameter file; what it does not name keeps its default.
///
/// Sections for a node named [`NODE_NAME`] in whichever namespace are read, and those for any node, later ones over earlier
/// ones.
///
/// # Errors
/// [`ParameterFileError`] names the file, and the parameter that there is not or whose value does not fit.
pub fn read_parameter_file(path: &Path) -> Result<Parameters, ParameterFileError> {
    let is_for_the_node = |pattern: &str| {
        let name = pattern.rsplit('/').next().unwrap_or_default();
        [NODE_NAME, "*", "**"].contains(&name)
    };
    let values = read_values(path, is_for_the_node)?;
    let values = values.ok_or_else(|| ParameterFileError::NoSection { path: path.to_owned() })?;
    let mut parameters = Parameters::default();
    for (name, value) in values.into_iter().filter(|(name, _)| !is_of_every_node(name)) {
        parameters = parameters
            .with(&name, value)
            .map_err(|error| ParameterFileError::Parameter { path: path.to_owned(), error })?;
    }
    Ok(parameters)
}

/// The dotted names and the values that a ROS 2 parameter file gives to the nodes of which `is_for` holds; `None` where it
/// has no section for them.
///
/// `is_for` is asked of a section's name, its parts joined by `/`: a node's name after its namespaces, of which `*` and
/// `**` may stand for one and for any.
///
/// # Errors
/// [`ParameterFileError`] where the file cannot be read or is no YAML.
pub fn read_values(path: &Path, is_for: impl Fn(&str) -> bool) -> Result<Option<Values>, ParameterFileError> {
    let text =
        fs::read_to_string(path).map_err(|error| ParameterFileError::Unreadable { path: path.to_owned(), error })?;
    let file: Value =
        serde_yaml::from_str(&text).map_err(|error| ParameterFileError::Syntax { path: path.to_owned(), error })?;
    let mut values = None;
    collect_sections(&file, "", &is_for, &mut values);
    Ok(values)
}

/// Whether a section's name, such as `/**`, `robot/face_attributes` or `/*/face_attributes`, means the node of this full
/// name (`/robot/face_attributes`), as rcl's parameter files have it.
pub fn section_matches(section: &str, node: &str) -> bool {
    fn parts_match(pattern: &[&str], name: &[&str]) -> bool {
        match (pattern, name) {
            ([], []) => true,
            (["**", pattern @ ..], name) => (0..=name.len()).any(|skipped| parts_match(pattern, &name[skipped..])),
            ([first, pattern @ ..], [part, name @ ..]) => {
                (*first == "*" || first == part) && parts_match(pattern, name)
            }
            _ => false,
        }
    }
    fn parts(name: &str) -> Vec<&str> {
        name.split('/').filter(|part| !part.is_empty()).collect()
    }
    parts_match(&parts(section), &parts(node))
}

/// Dotted names and what a file gives them.
type Values = Vec<(String, Value)>;

/// Finds the values of the sections that `is_for` picks; a node's name may be nested in its namespaces.
fn collect_sections(value: &Value, section: &str, is_for: &impl Fn(&str) -> bool, values: &mut Option<Values>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if key != "ros__parameters" {
            collect_sections(value, &format!("{section}/{}", key.trim_start_matches('/')), is_for, values);
        } else if is_for(section) {
            let values = values.get_or_insert_default();
            // A section with nothing in it is YAML's null.
            if !value.is_null() {
                flatten(value, "", values);
            }
        }
    }
}

/// Notes each leaf below `value` under its dotted name.
fn flatten(value: &Value, name: &str, values: &mut Values) {
    let Value::Object(group) = value else {
        values.push((name.to_owned(), value.clone()));
        return;
    };
    for (key, value) in group {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        flatten(value, &name, values);
    }
}

/// Whether a dotted name is one that ROS itself reads, in any node.
pub fn is_of_every_node(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    KEYS_OF_EVERY_NODE.contains(&first)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str) -> Result<Parameters, ParameterFileError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        read_parameter_file(file.path())
    }

    #[test]
    fn a_section_may_be_empty() {
        for section in ["/**:\n  ros__parameters:\n", "/**:\n  ros__parameters: {}\n"] {
            assert_eq!(read(section).unwrap(), Parameters::default());
        }
    }

    #[test]
    fn sections_for_this_node_are_read_in_each_form_that_ros_accepts() {
        let read = read(
            "/**:\n  ros__parameters:\n    use_sim_time: true\n    detector: {min_neighbors: 3}\n\
             /robot/face_attributes:\n  ros__parameters:\n    gender.margin: 0.2\n\
             robot:\n  face_attributes:\n    ros__parameters:\n      emotion: {enabled: false}\n\
             other_node:\n  ros__parameters:\n    gender.margin: 0.9\n",
        )
        .unwrap();
        assert_eq!(read.detector.min_neighbors, 3);
        assert_eq!(read.gender.margin, 0.2);
        assert!(!read.emotion.enabled);
    }

    #[test]
    fn a_section_matches_the_nodes_that_its_pattern_means() {
        let node = "/robot/face_attributes";
        for section in ["/**", "/robot/face_attributes", "robot/face_attributes", "/*/face_attributes", "/robot/*"] {
            assert!(section_matches(section, node), "{section}");
        }
        assert!(
            section_matches("/**/face_attributes", node) && section_matches("/**/face_attributes", "/face_attributes")
        );
        for section in ["/face_attributes", "/*", "/other/face_attributes", "/robot", "/robot/face_attributes/more"] {
            assert!(!section_matches(section, node), "{section}");
        }
        assert!(section_matches("/*", "/face_attributes") && section_matches("face_attributes", "/face_attributes"));
    }

    #[test]
    fn the_file_that_ships_holds_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/face_attributes.yaml");
        assert_eq!(read_parameter_file(&path).unwrap(), Parameters::default());
    }

    #[test]
    fn an_error_names_the_file_and_the_key() {
        let missing = read_parameter_file(Path::new("no/such.yaml")).unwrap_err().to_string();
        assert!(missing.contains("no/such.yaml"), "{missing}");
        for (text, reason) in [
            ("/**:\n  ros__parameters:\n    detector: {min_neighbours: 3}\n", "'detector.min_neighbours'"),
            ("/**:\n  ros__parameters:\n    gender: {margin: wide}\n", "'gender.margin' is of type double"),
            ("/**:\n  ros__parameters:\n    gender: 3\n", "no parameter 'gender'"),
            ("/**:\n  ros__parameters:\n    gender: [1, 2]\n", "no parameter 'gender'"),
            ("detector: {min_neighbors: 3}\n", "no section"),
            ("other_node:\n  ros__parameters:\n    a: 1\n", "no section"),
            ("/**: [", "line"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
