//! The services of a managed node: who asks for its state and changes it.

use std::sync::PoisonError;

use r2r::lifecycle_msgs::msg::{TransitionDescription, TransitionEvent};
use r2r::lifecycle_msgs::srv::{ChangeState, GetAvailableStates, GetAvailableTransitions, GetState};
use r2r::{Node, QosProfile};

use super::machine::SharedState;
use super::messages::{description_message, event_message, state_message};
use super::states::{State, TRANSITIONS, Transition};
use crate::services::{MAX_WAITING, Requests, Services};

/// Requests to change the state, which the owner of the machine takes one after the other.
pub type ChangeRequests = Requests<ChangeState::Service>;

/// Serves the state in the background, and gives the requests to change it.
///
/// # Errors
/// Where a service cannot be created.
pub fn serve_lifecycle(node: &mut Node, services: &Services, state: &SharedState) -> r2r::Result<ChangeRequests> {
    let qos = || QosProfile::services_default().keep_last(MAX_WAITING);
    let [current, available] = [(); 2].map(|()| state.clone());
    services.serve::<GetState::Service>(node, "get_state", qos(), move |_| GetState::Response {
        current_state: state_message(current.get()),
    })?;
    services.serve::<GetAvailableStates::Service>(node, "get_available_states", qos(), |_| {
        GetAvailableStates::Response { available_states: State::ALL.map(state_message).into() }
    })?;
    services.serve::<GetAvailableTransitions::Service>(node, "get_available_transitions", qos(), move |_| {
        GetAvailableTransitions::Response { available_transitions: descriptions(available.get().transitions()) }
    })?;
    services.serve::<GetAvailableTransitions::Service>(node, "get_transition_graph", qos(), |_| {
        GetAvailableTransitions::Response { available_transitions: descriptions(TRANSITIONS.iter()) }
    })?;
    services.requests(node, "change_state", qos())
}

/// Tells of transitions on `~/transition_event`, as rclcpp's nodes do.
///
/// # Errors
/// Where the topic cannot be created.
pub fn announcer(node: &mut Node) -> r2r::Result<impl Fn(&Transition) + 'static> {
    let events = node.create_publisher::<TransitionEvent>("~/transition_event", QosProfile::default().keep_last(10))?;
    let clock = node.get_ros_clock();
    Ok(move |transition: &Transition| {
        // A poisoned clock still tells the time.
        let now = clock.lock().unwrap_or_else(PoisonError::into_inner).get_now().unwrap_or_default();
        if let Err(error) = events.publish(&event_message(transition, now)) {
            log::warn!("cannot publish transition_event: {error}");
        }
    })
}

fn descriptions<'a>(transitions: impl Iterator<Item = &'a Transition>) -> Vec<TransitionDescription> {
    transitions.map(description_message).collect()
}
