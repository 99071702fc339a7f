//! Serves the library's parameters as ROS parameters: declared, described, checked, changed while the node runs.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use r2r::indexmap::IndexMap;
use r2r::{Node, Parameter, ParameterValue, RosParams};
use serde_json::Value;

use crate::parameters::file::{is_of_every_node, read_values, section_matches};
use crate::parameters::{Definition, ParameterError, Parameters};

/// The parameters as they are now; clones share them.
#[derive(Clone)]
pub struct SharedParameters(Arc<Mutex<Served>>);

impl SharedParameters {
    /// Takes the values of the parameter file and the command line, refuses what does not fit, and serves the parameters.
    ///
    /// The future answers the parameter services; somebody has to await it.
    ///
    /// # Errors
    /// Names the parameter that there is not, or whose value is of the wrong type or out of range.
    pub fn declare(node: &mut Node) -> anyhow::Result<(Self, impl Future<Output = ()> + Send + use<>)> {
        add_values_that_r2r_overlooks(node)?;
        let given: Vec<_> = lock(&node.params).keys().cloned().collect();
        let definitions = Parameters::definitions();
        for name in given.into_iter().filter(|name| !is_of_every_node(name)) {
            anyhow::ensure!(definitions.iter().any(|d| d.name == name), ParameterError::Unknown { name });
        }
        let served = Arc::new(Mutex::new(Served { parameters: Parameters::default(), is_running: false }));
        let (services, _changes) = node.make_derived_parameter_handler(served.clone())?;
        lock(&served).is_running = true;
        Ok((Self(served), services))
    }

    /// The parameters as they are now.
    pub fn get(&self) -> Parameters {
        lock(&self.0).parameters.clone()
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A value is swapped in whole, so that even a poisoned lock guards a good one.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of a parameter file, r2r takes the sections `/**` and those under the node's plain or full name. rcl allows for more:
/// `/robot/*`, `/**/face_attributes`, names nested in namespaces. What r2r has found, or the command line gave, stays.
fn add_values_that_r2r_overlooks(node: &Node) -> anyhow::Result<()> {
    let full_name = node.fully_qualified_name()?;
    let arguments: Vec<_> = std::env::args_os().collect();
    for pair in arguments.windows(2).filter(|pair| pair[0] == "--params-file") {
        let values = read_values(Path::new(&pair[1]), |section| section_matches(section, &full_name))?;
        for (name, value) in values.unwrap_or_default() {
            let value = ros_from_json(&value).unwrap_or(ParameterValue::NotSet);
            lock(&node.params).entry(name).or_insert_with(|| Parameter::new(value));
        }
    }
    Ok(())
}

struct Served {
    parameters: Parameters,
    /// From then on, what is read at the start only can no longer be changed.
    is_running: bool,
}

impl Served {
    fn with(&self, name: &str, value: &ParameterValue) -> r2r::Result<Parameters> {
        let refuse = |msg: String| r2r::Error::ParameterValueConv { name: name.to_owned(), msg };
        let value = match value {
            ParameterValue::Double(number) if !number.is_finite() => {
                return Err(refuse(format!("{number} is not a finite number")));
            }
            value => json_from_ros(value).ok_or_else(|| refuse(format!("no parameter is a {}", value.type_name())))?,
        };
        let changed = self.parameters.with(name, value).map_err(|error| refuse(error.to_string()))?;
        let is_fixed = self.is_running && Parameters::definitions().iter().any(|d| d.name == name && d.read_only);
        if is_fixed && changed != self.parameters {
            return Err(refuse(
                "it is read at the start only; change the parameter file and restart the node".to_owned(),
            ));
        }
        Ok(changed)
    }
}

impl RosParams for Served {
    fn register_parameters(
        &mut self,
        _prefix: &str,
        _param: Option<Parameter>,
        params: &mut IndexMap<String, Parameter>,
    ) -> r2r::Result<()> {
        for definition in Parameters::definitions() {
            if let Some(given) = params.shift_remove(&definition.name) {
                self.set_parameter(&definition.name, &given.value)?;
            }
            let value = self.get_parameter(&definition.name)?;
            params.insert(definition.name.clone(), Parameter { value, description: description(&definition) });
        }
        Ok(())
    }

    fn get_parameter(&mut self, name: &str) -> r2r::Result<ParameterValue> {
        let value = self.parameters.get(name).as_ref().and_then(ros_from_json);
        value.ok_or_else(|| r2r::Error::InvalidParameterName { name: name.to_owned() })
    }

    fn set_parameter(&mut self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        let changed = self.with(name, value)?;
        if changed != self.parameters {
            log::info!("parameter {name} is now {}", changed.get(name).unwrap_or_default());
            self.parameters = changed;
        }
        Ok(())
    }

    fn check_parameter(&self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        self.with(name, value).map(|_| ())
    }
}

/// What `ros2 param describe` shows. r2r's descriptors have no field for a range, so the text says it.
fn description(definition: &Definition) -> &'static str {
    let Definition { description, range, choices, read_only, .. } = definition;
    let mut text = description.clone();
    if let Some((min, max)) = range {
        text += &format!(" From {min} to {max}.");
    }
    if !choices.is_empty() {
        text += &format!(" One of: {}.", choices.join(", "));
    }
    if *read_only {
        text += " Read at the start only.";
    }
    // r2r wants descriptions that live as long as the program; there are a handful, made once.
    text.leak()
}

fn json_from_ros(value: &ParameterValue) -> Option<Value> {
    match value {
        ParameterValue::Bool(value) => Some((*value).into()),
        ParameterValue::Integer(value) => Some((*value).into()),
        ParameterValue::Double(value) => Some((*value).into()),
        ParameterValue::String(value) => Some(value.as_str().into()),
        _ => None,
    }
}

fn ros_from_json(value: &Value) -> Option<ParameterValue> {
    match value {
        Value::Bool(value) => Some(ParameterValue::Bool(*value)),
        Value::Number(number) if number.is_i64() => number.as_i64().map(ParameterValue::Integer),
        Value::Number(number) => number.as_f64().map(ParameterValue::Double),
        Value::String(value) => Some(ParameterValue::String(value.clone())),
        _ => None,
    }
}
