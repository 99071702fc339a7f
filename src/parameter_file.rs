//! Reads a ROS 2 parameter file, so that what was tuned on the robot holds on the desk and the other way round.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde_json::{Map, Value};

use crate::parameters::{ParameterError, Parameters};

/// The node whose sections of a parameter file are read.
pub const NODE_NAME: &str = "face_attributes";

/// Keys that each ROS node understands without declaring them.
const KEYS_OF_EVERY_NODE: [&str; 3] = ["use_sim_time", "start_type_description_service", "qos_overrides"];

/// Why a parameter file was refused.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ParameterFileError {
    #[error("parameter file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("parameter file {}: {source}", path.display())]
    Syntax { path: PathBuf, source: serde_yaml::Error },
    #[error(
        "parameter file {}: no section for the node {NODE_NAME}; expected for example '/**:' and below it 'ros__parameters:'",
        path.display()
    )]
    NoSection { path: PathBuf },
    #[error("parameter file {}: {source}", path.display())]
    Parameter { path: PathBuf, source: ParameterError },
}

/// The parameters of a ROS 2 parameter file; what it does not name keeps its default.
///
/// Sections for any node (`/**`, `/*`) and for a node named [`NODE_NAME`] in whichever namespace are read, later ones over
/// earlier ones.
///
/// # Errors
/// [`ParameterFileError`] names the file, and the parameter that there is not or whose value does not fit.
pub fn read_parameter_file(path: &Path) -> Result<Parameters, ParameterFileError> {
    let text =
        fs::read_to_string(path).map_err(|source| ParameterFileError::Unreadable { path: path.to_owned(), source })?;
    let file: Value =
        serde_yaml::from_str(&text).map_err(|source| ParameterFileError::Syntax { path: path.to_owned(), source })?;
    let mut sections = Vec::new();
    collect_sections(&file, "", &mut sections);
    if sections.is_empty() {
        return Err(ParameterFileError::NoSection { path: path.to_owned() });
    }
    let mut parameters = Parameters::default();
    for section in sections {
        parameters = apply(parameters, section, "")
            .map_err(|source| ParameterFileError::Parameter { path: path.to_owned(), source })?;
    }
    Ok(parameters)
}

/// Finds the `ros__parameters` that concern this node; a node's name may be nested in its namespaces.
fn collect_sections<'a>(value: &'a Value, node: &str, sections: &mut Vec<&'a Map<String, Value>>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        if key == "ros__parameters" {
            let name = node.rsplit('/').next().unwrap_or_default();
            if let (true, Some(section)) = (["**", "*", NODE_NAME].contains(&name), value.as_object()) {
                sections.push(section);
            }
        } else {
            collect_sections(value, key, sections);
        }
    }
}

/// Sets each leaf below `section` by its dotted name.
fn apply(mut parameters: Parameters, section: &Map<String, Value>, group: &str) -> Result<Parameters, ParameterError> {
    for (key, value) in section {
        let name = if group.is_empty() { key.clone() } else { format!("{group}.{key}") };
        if is_of_every_node(&name) {
            continue;
        }
        parameters = match value {
            Value::Object(section) => apply(parameters, section, &name)?,
            value => parameters.with(&name, value.clone())?,
        };
    }
    Ok(parameters)
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
            ("/**:\n  ros__parameters:\n    gender: {margin: wide}\n", "'gender.margin' takes a double"),
            ("/**:\n  ros__parameters:\n    gender: 3\n", "no parameter 'gender'"),
            ("detector: {min_neighbors: 3}\n", "no section"),
            ("other_node:\n  ros__parameters:\n    a: 1\n", "no section"),
            ("/**: [", "line"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
