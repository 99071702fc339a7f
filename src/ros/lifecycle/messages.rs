//! States and transitions as messages.

use std::time::Duration;

use r2r::lifecycle_msgs::msg;

use super::states::{State, Transition};

/// The message of a state.
pub fn state_message(state: State) -> msg::State {
    msg::State { id: state.id(), label: state.label().to_owned() }
}

/// The message of a transition.
fn transition_message(transition: &Transition) -> msg::Transition {
    msg::Transition { id: transition.id, label: transition.label.to_owned() }
}

/// The message of a transition with its states.
pub fn description_message(transition: &Transition) -> msg::TransitionDescription {
    msg::TransitionDescription {
        transition: transition_message(transition),
        start_state: state_message(transition.start),
        goal_state: state_message(transition.goal),
    }
}

/// The event that tells of a transition. `now` counts from 1970.
///
/// rcl_interfaces 2.4.3 replaces `timestamp`, in nanoseconds, by `stamp`, a builtin_interfaces/Time. No other line names it.
pub fn event_message(transition: &Transition, now: Duration) -> msg::TransitionEvent {
    msg::TransitionEvent {
        timestamp: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
        transition: transition_message(transition),
        start_state: state_message(transition.start),
        goal_state: state_message(transition.goal),
    }
}
