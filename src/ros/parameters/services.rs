//! The six parameter services of a ROS node, as rclcpp serves them.

use std::sync::Arc;
use std::time::Duration;

use face_attributes::parameters::TABLE;
use r2r::rcl_interfaces::msg::{ListParametersResult, ParameterDescriptor, ParameterValue};
use r2r::rcl_interfaces::srv::{
    DescribeParameters, GetParameterTypes, GetParameters, ListParameters, SetParameters, SetParametersAtomically,
};
use r2r::{Node, QosProfile};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::OF_EVERY_NODE;
use super::message::{descriptor_of, to_message};
use super::setter::Setter;
use super::shared::SharedParameters;
use crate::services::Services;

/// How long nodes of a network may need to find each other.
const LISTENER_PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked meanwhile whether somebody listens.
const LISTENER_PERIOD: Duration = Duration::from_millis(20);

/// Serves the parameters. To be called within tokio's runtime.
///
/// # Errors
/// Where a service cannot be created.
pub fn serve_parameters(
    node: &mut Node,
    services: &Services,
    parameters: &SharedParameters,
    setter: Setter,
) -> r2r::Result<()> {
    let qos = QosProfile::parameters;
    let [get, types] = [(); 2].map(|()| parameters.clone());
    services.serve::<GetParameters::Service>(node, "get_parameters", qos(), move |request| {
        GetParameters::Response { values: values(&get, &request.names) }
    })?;
    services.serve::<GetParameterTypes::Service>(node, "get_parameter_types", qos(), move |request| {
        let values = values(&types, &request.names);
        GetParameterTypes::Response { types: values.iter().map(|value| value.type_).collect() }
    })?;
    services.serve::<DescribeParameters::Service>(node, "describe_parameters", qos(), |request| {
        DescribeParameters::Response { descriptors: descriptors(&request.names) }
    })?;
    services.serve::<ListParameters::Service>(node, "list_parameters", qos(), |request| ListParameters::Response {
        result: list(&request.prefixes, request.depth),
    })?;

    let setter = Arc::new(Mutex::new(setter));
    let set_all = Arc::clone(&setter);
    tokio::spawn(declare(Arc::clone(&setter)));
    services.serve_slowly::<SetParameters::Service, _>(node, "set_parameters", qos(), move |request| {
        let setter = Arc::clone(&setter);
        async move {
            let mut setter = setter.lock().await;
            let mut results = Vec::with_capacity(request.parameters.len());
            for parameter in request.parameters {
                results.push(setter.set_together(&[parameter]).await);
            }
            SetParameters::Response { results }
        }
    })?;
    services.serve_slowly::<SetParametersAtomically::Service, _>(
        node,
        "set_parameters_atomically",
        qos(),
        move |request| {
            let setter = Arc::clone(&set_all);
            async move {
                let result = setter.lock().await.set_together(&request.parameters).await;
                SetParametersAtomically::Response { result }
            }
        },
    )
}

/// Tells of the declared parameters. Who listens at the start has to be found first, as the topic keeps nothing for later.
async fn declare(setter: Arc<Mutex<Setter>>) {
    let find_listener = async {
        while !setter.lock().await.has_listener() {
            sleep(LISTENER_PERIOD).await;
        }
    };
    // The time is over where nobody listens.
    let _ = timeout(LISTENER_PATIENCE, find_listener).await;
    setter.lock().await.declare();
}

/// The values of the parameters of those names; none at all where one is not declared, as rclcpp answers.
fn values(parameters: &SharedParameters, names: &[String]) -> Vec<ParameterValue> {
    let values: Option<Vec<_>> = names.iter().map(|name| parameters.value(name)).collect();
    values.unwrap_or_default().iter().map(to_message).collect()
}

/// One descriptor per name; an undeclared one is answered with no descriptor at all, as rclcpp does.
fn descriptors(names: &[String]) -> Vec<ParameterDescriptor> {
    names.iter().map(|name| descriptor_of(name)).collect::<Option<_>>().unwrap_or_default()
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
    let all = TABLE.iter().map(|definition| definition.name).chain(OF_EVERY_NODE);
    let names: Vec<_> = all.filter(is_listed).map(str::to_owned).collect();
    let mut groups: Vec<_> = names.iter().filter_map(|name| Some(name.rsplit_once('.')?.0.to_owned())).collect();
    groups.dedup();
    ListParametersResult { names, prefixes: groups }
}

/// The dots of a name.
fn levels(name: &str) -> u64 {
    name.matches('.').count() as u64
}

#[cfg(test)]
mod tests {
    use face_attributes::parameters::Parameters;

    use super::super::USE_SIM_TIME;
    use super::*;

    fn names(prefixes: &[&str], depth: u64) -> Vec<String> {
        list(&prefixes.iter().map(|prefix| (*prefix).to_owned()).collect::<Vec<_>>(), depth).names
    }

    #[test]
    fn parameters_are_listed_by_prefix_and_depth() {
        assert_eq!(names(&[], 0).len(), TABLE.len() + 2);
        let own = ["cameras", "autostart", "image_transport", "max_rate_hz", "max_faces_per_frame"];
        assert_eq!(names(&[], 1), [&own[..], &["use_sim_time", "start_type_description_service"]].concat());
        assert_eq!(names(&[], 2).len(), TABLE.len() + 2);
        let gender = names(&["gender"], 1);
        assert!(gender.len() == 6 && gender.iter().all(|name| name.starts_with("gender.")), "{gender:?}");
        assert_eq!(names(&["gender"], 0), gender);
        assert_eq!(names(&["gender.margin"], 1), ["gender.margin"]);
        assert!(names(&["gend", "margin"], 0).is_empty());
        let prefixes = ["image", "detector", "search", "tracking", "emotion", "gender", "saliency", "outputs"];
        assert_eq!(list(&[], 0).prefixes, prefixes);
    }

    #[test]
    fn an_undeclared_name_empties_the_list_of_values() {
        let parameters = SharedParameters::new(Parameters::default(), false);
        let of = |names: &[&str]| values(&parameters, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["gender.margin", USE_SIM_TIME]).len(), 2);
        assert!(of(&["gender.margin", "gender.width"]).is_empty());
        assert!(descriptors(&["gender.margin".to_owned(), "gender.width".to_owned()]).is_empty());
    }
}
