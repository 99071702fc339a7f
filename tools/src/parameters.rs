//! The node's parameters on the command line.

use std::path::Path;

use face_attributes::parameters::{ConfigurationError, NODE_NAME, NodeTarget, Parameters, Source, configure};

/// The parameters that a ROS 2 parameter file gives to the node in any namespace; the defaults without a file. Parameters that
/// the node does not have are logged as warnings.
///
/// # Errors
/// [`ConfigurationError`] names the file and the parameter with the wrong value.
pub fn read_parameters(path: Option<&Path>) -> Result<Parameters, ConfigurationError> {
    let sources: Vec<_> = path.into_iter().map(|path| Source::File(path.to_owned())).collect();
    let configured = configure(&sources, &NodeTarget::AnyNamespace(NODE_NAME.to_owned()))?;
    configured.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    Ok(configured.parameters)
}
