//! Tells everybody on `/parameter_events` which parameters were declared and set.

use std::sync::{Arc, Mutex, PoisonError};

use face_attributes::parameters::TABLE;
use r2r::rcl_interfaces::msg::{Parameter, ParameterEvent};
use r2r::{Clock, Node, Publisher, QosProfile};

use super::OF_EVERY_NODE;
use super::message::to_message;
use super::shared::SharedParameters;

/// The topic that all nodes share.
const TOPIC: &str = "/parameter_events";

/// The events of a node's parameters.
pub struct ParameterEvents {
    publisher: Publisher<ParameterEvent>,
    /// Full name of the node.
    node: String,
    clock: Arc<Mutex<Clock>>,
    are_declared: bool,
}

impl ParameterEvents {
    /// Creates the topic.
    ///
    /// # Errors
    /// Where it cannot be created.
    pub fn create(node: &mut Node) -> r2r::Result<Self> {
        let publisher = node.create_publisher(TOPIC, QosProfile::parameter_events())?;
        Ok(Self { publisher, node: node.fully_qualified_name()?, clock: node.get_ros_clock(), are_declared: false })
    }

    /// Whether somebody listens.
    pub fn has_listener(&self) -> bool {
        self.publisher.get_inter_process_subscription_count().is_ok_and(|listeners| listeners > 0)
    }

    /// Tells once of each parameter that it is declared, in a message of its own.
    pub fn declare(&mut self, parameters: &SharedParameters) {
        if std::mem::replace(&mut self.are_declared, true) {
            return;
        }
        for name in TABLE.iter().map(|definition| definition.name).chain(OF_EVERY_NODE) {
            let new_parameters = messages(parameters, [name]);
            self.publish(ParameterEvent { new_parameters, ..Default::default() });
        }
    }

    /// Tells that the parameters of those names were set together.
    pub fn set<'a>(&mut self, parameters: &SharedParameters, names: impl IntoIterator<Item = &'a str>) {
        let changed_parameters = messages(parameters, names);
        self.publish(ParameterEvent { changed_parameters, ..Default::default() });
    }

    fn publish(&self, event: ParameterEvent) {
        let now = self.clock.lock().unwrap_or_else(PoisonError::into_inner).get_now();
        let result = now.and_then(|now| {
            let stamp = Clock::to_builtin_time(&now);
            self.publisher.publish(&ParameterEvent { stamp, node: self.node.clone(), ..event })
        });
        if let Err(error) = result {
            log::warn!("cannot publish {TOPIC}: {error}");
        }
    }
}

/// The parameters of those names with the values that they have now.
fn messages<'a>(parameters: &SharedParameters, names: impl IntoIterator<Item = &'a str>) -> Vec<Parameter> {
    let message = |name: &'a str| {
        let value = parameters.value(name).as_ref().map(to_message)?;
        Some(Parameter { name: name.to_owned(), value })
    };
    names.into_iter().filter_map(message).collect()
}
