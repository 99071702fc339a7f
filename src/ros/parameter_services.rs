//! The six parameter services of a ROS node, as rclcpp serves them.
//!
//! r2r has such services as well. They report the type of what was set last and not of the parameter, make an atomic set one
//! parameter after the other, and all end with the first client that does not wait for its answer.

use face_attributes::parameters::{Definition, Field, Kind, Mutability, Parameters, TABLE, Value};
use r2r::rcl_interfaces::msg::{
    FloatingPointRange, IntegerRange, ListParametersResult, ParameterDescriptor, ParameterType, ParameterValue,
    SetParametersResult,
};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters, SetParametersAtomically,
};
use r2r::{Node, QosProfile};

use crate::parameters::{START_TYPE_DESCRIPTION_SERVICE, SharedParameters, USE_SIM_TIME};
use crate::services::{Service, serve};

/// What the descriptors say of parameters that are read when the node is configured.
const AT_CONFIGURE: &str = "Can be set while the node is unconfigured or inactive.";

/// The services at work.
pub struct ParameterServices {
    services: [Service; 6],
}

impl ParameterServices {
    /// Answers no more requests.
    pub fn stop(self) {
        self.services.into_iter().for_each(Service::stop);
    }
}

/// Serves the parameters in the background.
///
/// # Errors
/// Where a service cannot be created.
pub fn serve_parameters(node: &mut Node, parameters: &SharedParameters) -> r2r::Result<ParameterServices> {
    let [get, types, set, set_all] = [(); 4].map(|()| parameters.clone());
    Ok(ParameterServices {
        services: [
            serve::<GetParameters::Service>(node, "get_parameters", QosProfile::parameters(), move |request| {
                GetParameters::Response { values: values(&get, &request.names) }
            })?,
            serve::<GetParameterTypes::Service>(
                node,
                "get_parameter_types",
                QosProfile::parameters(),
                move |request| {
                    let values = values(&types, &request.names);
                    GetParameterTypes::Response { types: values.iter().map(|value| value.type_).collect() }
                },
            )?,
            serve::<SetParameters::Service>(node, "set_parameters", QosProfile::parameters(), move |request| {
                let set_one = |parameter: &_| set_together(&set, std::slice::from_ref(parameter));
                SetParameters::Response { results: request.parameters.iter().map(set_one).collect() }
            })?,
            serve::<SetParametersAtomically::Service>(
                node,
                "set_parameters_atomically",
                QosProfile::parameters(),
                move |request| SetParametersAtomically::Response {
                    result: set_together(&set_all, &request.parameters),
                },
            )?,
            serve::<DescribeParameters::Service>(node, "describe_parameters", QosProfile::parameters(), |request| {
                DescribeParameters::Response { descriptors: descriptors(&request.names) }
            })?,
            serve::<ListParameters::Service>(node, "list_parameters", QosProfile::parameters(), |request| {
                ListParameters::Response { result: list(&request.prefixes, request.depth) }
            })?,
        ],
    })
}

/// The values of the parameters of those names; none at all where one is not declared, as rclcpp answers.
fn values(parameters: &SharedParameters, names: &[String]) -> Vec<ParameterValue> {
    let values: Option<Vec<_>> = names.iter().map(|name| parameters.value(name)).collect();
    values.unwrap_or_default().iter().map(to_message).collect()
}

fn set_together(parameters: &SharedParameters, changes: &[r2r::rcl_interfaces::msg::Parameter]) -> SetParametersResult {
    let changes: Vec<_> = changes.iter().map(|change| (change.name.as_str(), from_message(&change.value))).collect();
    let result = parameters.set(&changes);
    SetParametersResult {
        successful: result.is_ok(),
        reason: result.err().map_or_else(String::new, |error| error.to_string()),
    }
}

/// One descriptor per name; an undeclared one is answered with no descriptor at all, as rclcpp does.
fn descriptors(names: &[String]) -> Vec<ParameterDescriptor> {
    let of_every_node = |name: &str, description: &str| ParameterDescriptor {
        name: name.to_owned(),
        type_: ParameterType::PARAMETER_BOOL as u8,
        description: description.to_owned(),
        read_only: true,
        ..Default::default()
    };
    let describe = |name: &String| match name.as_str() {
        USE_SIM_TIME => Some(of_every_node(name, "Whether the node's clock follows the topic /clock.")),
        START_TYPE_DESCRIPTION_SERVICE => {
            Some(of_every_node(name, "Whether the node describes its types to others; this node does not."))
        }
        name => Parameters::definition(name).map(descriptor),
    };
    names.iter().map(describe).collect::<Option<_>>().unwrap_or_default()
}

fn descriptor(definition: &Definition) -> ParameterDescriptor {
    let mut constraints = Vec::new();
    let mut descriptor = ParameterDescriptor {
        name: definition.name.to_owned(),
        type_: type_of(definition.kind()),
        read_only: definition.mutability == Mutability::ReadOnly,
        ..Default::default()
    };
    match definition.field {
        Field::Integer { range: (from_value, to_value), .. } => {
            let (from_value, to_value) = (from_value.into(), to_value.into());
            descriptor.integer_range = vec![IntegerRange { from_value, to_value, step: 1 }];
        }
        Field::Double { range: (from_value, to_value), .. } => {
            descriptor.floating_point_range = vec![FloatingPointRange { from_value, to_value, step: 0.0 }];
        }
        Field::Choice { .. } => {
            constraints.push(format!("One of: {}.", definition.choices().join(", ")));
        }
        Field::Strings { elements, .. } => constraints.push(format!("Different {elements}.")),
        Field::Bool { .. } | Field::String { .. } => {}
    }
    if definition.mutability == Mutability::AtConfigure {
        constraints.push(AT_CONFIGURE.to_owned());
    }
    descriptor.additional_constraints = constraints.join(" ");
    // Graphical clients show the description only.
    let texts = [definition.description, &descriptor.additional_constraints];
    descriptor.description = texts.join(" ").trim_end().to_owned();
    descriptor
}

/// The names below each prefix, at most `depth` levels of groups below it; of all parameters where there is no prefix.
fn list(prefixes: &[String], depth: u64) -> ListParametersResult {
    let is_within = |below: &str| depth == ListParameters::Request::DEPTH_RECURSIVE as u64 || levels(below) < depth;
    let is_listed = |name: &&str| {
        if prefixes.is_empty() {
            return is_within(name);
        }
        prefixes.iter().any(|prefix| {
            let below = name.strip_prefix(prefix.as_str());
            below.is_some_and(|below| below.is_empty() || below.strip_prefix('.').is_some_and(is_within))
        })
    };
    let all = TABLE.iter().map(|definition| definition.name).chain([USE_SIM_TIME, START_TYPE_DESCRIPTION_SERVICE]);
    let names: Vec<_> = all.filter(is_listed).map(str::to_owned).collect();
    let mut groups: Vec<_> = names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0.to_owned())).collect();
    groups.dedup();
    ListParametersResult { names, prefixes: groups }
}

/// The dots of a name.
fn levels(name: &str) -> u64 {
    name.matches('.').count() as u64
}

fn type_of(kind: Kind) -> u8 {
    match kind {
        Kind::Bool => ParameterType::PARAMETER_BOOL as u8,
        Kind::Integer => ParameterType::PARAMETER_INTEGER as u8,
        Kind::Double => ParameterType::PARAMETER_DOUBLE as u8,
        Kind::String => ParameterType::PARAMETER_STRING as u8,
        Kind::Strings => ParameterType::PARAMETER_STRING_ARRAY as u8,
    }
}

fn to_message(value: &Value) -> ParameterValue {
    let message = ParameterValue::default();
    match value {
        Value::Bool(value) => ParameterValue { type_: type_of(Kind::Bool), bool_value: *value, ..message },
        Value::Integer(value) => ParameterValue { type_: type_of(Kind::Integer), integer_value: *value, ..message },
        Value::Double(value) => ParameterValue { type_: type_of(Kind::Double), double_value: *value, ..message },
        Value::String(value) => ParameterValue { type_: type_of(Kind::String), string_value: value.clone(), ..message },
        Value::Strings(values) => {
            ParameterValue { type_: type_of(Kind::Strings), string_array_value: values.clone(), ..message }
        }
        Value::Other(_) => message,
    }
}

fn from_message(value: &ParameterValue) -> Value {
    const NOT_SET: u8 = ParameterType::PARAMETER_NOT_SET as u8;
    let is_of = |kind: &Kind| type_of(*kind) == value.type_;
    match [Kind::Bool, Kind::Integer, Kind::Double, Kind::String, Kind::Strings].into_iter().find(is_of) {
        Some(Kind::Bool) => Value::Bool(value.bool_value),
        Some(Kind::Integer) => Value::Integer(value.integer_value),
        Some(Kind::Double) => Value::Double(value.double_value),
        Some(Kind::String) => Value::String(value.string_value.clone()),
        Some(Kind::Strings) => Value::Strings(value.string_array_value.clone()),
        None if value.type_ == NOT_SET => Value::Other("no value".to_owned()),
        // An empty array has no type in YAML. `ros2 param` sends the first type that fits, an array of bools.
        None if is_empty_array(value) => Value::Strings(Vec::new()),
        None => Value::Other("an array".to_owned()),
    }
}

fn is_empty_array(value: &ParameterValue) -> bool {
    const BYTES: u8 = ParameterType::PARAMETER_BYTE_ARRAY as u8;
    const BOOLS: u8 = ParameterType::PARAMETER_BOOL_ARRAY as u8;
    const INTEGERS: u8 = ParameterType::PARAMETER_INTEGER_ARRAY as u8;
    const DOUBLES: u8 = ParameterType::PARAMETER_DOUBLE_ARRAY as u8;
    match value.type_ {
        BYTES => value.byte_array_value.is_empty(),
        BOOLS => value.bool_array_value.is_empty(),
        INTEGERS => value.integer_array_value.is_empty(),
        DOUBLES => value.double_array_value.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefixes: &[&str], depth: u64) -> Vec<String> {
        list(&prefixes.iter().map(|prefix| (*prefix).to_owned()).collect::<Vec<_>>(), depth).names
    }

    #[test]
    fn parameters_are_listed_by_prefix_and_depth() {
        assert_eq!(names(&[], 0).len(), TABLE.len() + 2);
        assert_eq!(names(&[], 1), ["cameras", "autostart", USE_SIM_TIME, START_TYPE_DESCRIPTION_SERVICE]);
        assert_eq!(names(&[], 2).len(), TABLE.len() + 2);
        let gender = names(&["gender"], 1);
        assert!(gender.len() == 6 && gender.iter().all(|name| name.starts_with("gender.")), "{gender:?}");
        assert_eq!(names(&["gender"], 0), gender);
        assert_eq!(names(&["gender.margin"], 1), ["gender.margin"]);
        assert!(names(&["gend", "margin"], 0).is_empty());
        assert_eq!(list(&[], 0).prefixes, ["image", "detector", "search", "tracking", "emotion", "gender", "saliency"]);
    }

    #[test]
    fn descriptors_have_ranges_and_choices() {
        let all = ["detector.threads", "gender.margin", "saliency.method", USE_SIM_TIME].map(str::to_owned);
        let [threads, margin, method, sim_time] = &descriptors(&all)[..] else { panic!("not four descriptors") };
        let range = &threads.integer_range[0];
        assert_eq!((range.from_value, range.to_value, range.step, threads.read_only), (1, 64, 1, false));
        assert_eq!(threads.additional_constraints, AT_CONFIGURE);
        assert!(threads.description.ends_with(AT_CONFIGURE), "{}", threads.description);
        let range = &margin.floating_point_range[0];
        assert_eq!((range.from_value, range.to_value, range.step, margin.read_only), (0.0, 1.0, 0.0, false));
        assert_eq!(method.additional_constraints, "One of: guided, gradient, grad-cam.");
        assert!(sim_time.read_only);
        assert!(descriptors(&["gender.margin".to_owned(), "gender.width".to_owned()]).is_empty());
    }

    #[test]
    fn values_are_the_same_after_a_way_through_a_message() {
        for definition in &TABLE {
            let value = definition.get(&Parameters::default());
            assert_eq!(from_message(&to_message(&value)), value, "{}", definition.name);
        }
        let cameras = Value::Strings(vec!["front".to_owned(), "rear".to_owned()]);
        assert_eq!(from_message(&to_message(&cameras)), cameras);
        let bools = ParameterType::PARAMETER_BOOL_ARRAY as u8;
        let array = |bool_array_value| ParameterValue { type_: bools, bool_array_value, ..Default::default() };
        assert_eq!(from_message(&array(Vec::new())), Value::Strings(Vec::new()));
        assert_eq!(from_message(&array(vec![true])).kind(), None);
    }

    #[test]
    fn an_undeclared_name_empties_the_list_of_values() {
        let parameters = SharedParameters::new(Parameters::default(), false);
        let of = |names: &[&str]| values(&parameters, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["gender.margin", USE_SIM_TIME]).len(), 2);
        assert!(of(&["gender.margin", "gender.width"]).is_empty());
    }
}
