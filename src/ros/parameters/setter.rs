//! Sets parameters as clients ask for it, and tells of it.

use face_attributes::parameters::Value;
use r2r::rcl_interfaces::msg::{Parameter, SetParametersResult};

use super::USE_SIM_TIME;
use super::events::ParameterEvents;
use super::message::from_message;
use super::set_error::SetError;
use super::shared::SharedParameters;
use crate::spinner::NodeThread;

/// What a set of parameters needs.
pub struct Setter {
    parameters: SharedParameters,
    events: ParameterEvents,
    node: NodeThread,
}

impl Setter {
    /// Sets `parameters` of the node in that thread.
    pub fn new(parameters: SharedParameters, events: ParameterEvents, node: NodeThread) -> Self {
        Self { parameters, events, node }
    }

    /// Whether somebody listens to the events.
    pub fn has_listener(&self) -> bool {
        self.events.has_listener()
    }

    /// Tells of the declared parameters, unless that was done.
    pub fn declare(&mut self) {
        self.events.declare(&self.parameters);
    }

    /// Sets all of the parameters or none, and publishes one event.
    pub async fn set_together(&mut self, changes: &[Parameter]) -> SetParametersResult {
        self.declare();
        let values: Vec<_> = changes.iter().map(|change| (change.name.as_str(), from_message(&change.value))).collect();
        let result = self.set(&values).await;
        if result.is_ok() {
            self.events.set(&self.parameters, values.iter().map(|(name, _)| *name));
        }
        SetParametersResult {
            successful: result.is_ok(),
            reason: result.err().map_or_else(String::new, |error| error.to_string()),
        }
    }

    async fn set(&mut self, changes: &[(&str, Value)]) -> Result<(), SetError> {
        let Some(use_sim_time) = self.parameters.check(changes)? else { return self.parameters.set(changes) };
        self.follow_clock(use_sim_time).await?;
        // The node may have become active meanwhile.
        if let Err(refused) = self.parameters.set(changes) {
            self.follow_clock(!use_sim_time).await?;
            return Err(refused);
        }
        Ok(())
    }

    /// Lets the node's clock follow `/clock`, or the system's time.
    async fn follow_clock(&mut self, is_simulated: bool) -> Result<(), SetError> {
        let follow = move |node: &mut r2r::Node| {
            let source = node.get_time_source();
            if is_simulated {
                return source.enable_sim_time(node);
            }
            source.disable_sim_time();
            Ok(())
        };
        let result = self.node.call(follow).await.and_then(|result| Ok(result?));
        result.map_err(|error| SetError::Failed { name: USE_SIM_TIME, reason: format!("{error:#}") })
    }
}
