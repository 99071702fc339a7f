//! Values and descriptors of parameters as messages.

use face_attributes::parameters::{Definition, Field, Kind, Mutability, Parameters, Value};
use r2r::rcl_interfaces::msg::{FloatingPointRange, IntegerRange, ParameterDescriptor, ParameterType, ParameterValue};

use super::{START_TYPE_DESCRIPTION_SERVICE, USE_SIM_TIME};

/// What the descriptors say of parameters that are read when the node is configured.
const AT_CONFIGURE: &str = "Can be set while the node is unconfigured or inactive.";

/// The type of a message without a value, by its ROS name.
pub const NOT_SET: &str = "not set";

/// The descriptor of the parameter `name`.
pub fn descriptor_of(name: &str) -> Option<ParameterDescriptor> {
    let of_every_node = |description: &str, read_only| ParameterDescriptor {
        name: name.to_owned(),
        type_: type_of(Kind::Bool),
        description: description.to_owned(),
        read_only,
        ..Default::default()
    };
    match name {
        USE_SIM_TIME => Some(of_every_node("Whether the node's clock follows the topic /clock.", false)),
        START_TYPE_DESCRIPTION_SERVICE => {
            Some(of_every_node("Whether the node describes its types to others; this node does not.", true))
        }
        _ => Parameters::definition(name).map(descriptor),
    }
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

fn type_of(kind: Kind) -> u8 {
    match kind {
        Kind::Bool => ParameterType::PARAMETER_BOOL as u8,
        Kind::Integer => ParameterType::PARAMETER_INTEGER as u8,
        Kind::Double => ParameterType::PARAMETER_DOUBLE as u8,
        Kind::String => ParameterType::PARAMETER_STRING as u8,
        Kind::Strings => ParameterType::PARAMETER_STRING_ARRAY as u8,
    }
}

/// A value as a message.
pub fn to_message(value: &Value) -> ParameterValue {
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

/// The value of a message.
pub fn from_message(value: &ParameterValue) -> Value {
    const TYPE_NOT_SET: u8 = ParameterType::PARAMETER_NOT_SET as u8;
    let is_of = |kind: &Kind| type_of(*kind) == value.type_;
    match [Kind::Bool, Kind::Integer, Kind::Double, Kind::String, Kind::Strings].into_iter().find(is_of) {
        Some(Kind::Bool) => Value::Bool(value.bool_value),
        Some(Kind::Integer) => Value::Integer(value.integer_value),
        Some(Kind::Double) => Value::Double(value.double_value),
        Some(Kind::String) => Value::String(value.string_value.clone()),
        Some(Kind::Strings) => Value::Strings(value.string_array_value.clone()),
        None if value.type_ == TYPE_NOT_SET => Value::Other(NOT_SET.to_owned()),
        None => from_other_array(value),
    }
}

/// An array that no parameter takes, by the ROS name of its type.
fn from_other_array(value: &ParameterValue) -> Value {
    const BYTES: u8 = ParameterType::PARAMETER_BYTE_ARRAY as u8;
    const BOOLS: u8 = ParameterType::PARAMETER_BOOL_ARRAY as u8;
    const INTEGERS: u8 = ParameterType::PARAMETER_INTEGER_ARRAY as u8;
    const DOUBLES: u8 = ParameterType::PARAMETER_DOUBLE_ARRAY as u8;
    let (name, is_empty) = match value.type_ {
        BYTES => ("byte_array", value.byte_array_value.is_empty()),
        BOOLS => ("bool_array", value.bool_array_value.is_empty()),
        INTEGERS => ("integer_array", value.integer_array_value.is_empty()),
        DOUBLES => ("double_array", value.double_array_value.is_empty()),
        _ => ("unknown type", false),
    };
    // An empty array has no type in YAML. `ros2 param` sends the first type that fits, an array of bools.
    if is_empty { Value::Strings(Vec::new()) } else { Value::Other(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use face_attributes::parameters::TABLE;

    use super::*;

    #[test]
    fn descriptors_have_ranges_and_choices() {
        let names = ["detector.threads", "gender.margin", "saliency.method", "cameras", USE_SIM_TIME];
        let [threads, margin, method, cameras, sim_time] = names.map(|name| descriptor_of(name).unwrap());
        let range = &threads.integer_range[0];
        assert_eq!((range.from_value, range.to_value, range.step, threads.read_only), (1, 64, 1, false));
        assert_eq!(threads.additional_constraints, AT_CONFIGURE);
        assert!(threads.description.ends_with(AT_CONFIGURE), "{}", threads.description);
        let range = &margin.floating_point_range[0];
        assert_eq!((range.from_value, range.to_value, range.step, margin.read_only), (0.0, 1.0, 0.0, false));
        assert_eq!(method.additional_constraints, "One of: guided, gradient, grad-cam.");
        assert!(cameras.additional_constraints.starts_with("Different names of letters"), "{cameras:?}");
        assert!(!sim_time.read_only && descriptor_of("autostart").unwrap().read_only);
        assert_eq!(descriptor_of("gender.width"), None);
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
}
