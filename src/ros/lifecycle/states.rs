//! The states of a managed node and the transitions between them, as `rcl_lifecycle` defines them.

use std::fmt;

use State::*;

/// A state. The numbers are those of `lifecycle_msgs/State`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Unknown = 0,
    Unconfigured = 1,
    Inactive = 2,
    Active = 3,
    Finalized = 4,
    Configuring = 10,
    CleaningUp = 11,
    ShuttingDown = 12,
    Activating = 13,
    Deactivating = 14,
    ErrorProcessing = 15,
}

impl State {
    /// All states, in the order in which `rcl_lifecycle` lists them.
    pub const ALL: [Self; 11] = [
        Unknown,
        Unconfigured,
        Inactive,
        Active,
        Finalized,
        Configuring,
        CleaningUp,
        ShuttingDown,
        Activating,
        Deactivating,
        ErrorProcessing,
    ];

    /// The number of `lifecycle_msgs/State`.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name that `ros2 lifecycle` shows.
    pub fn label(self) -> &'static str {
        match self {
            Unknown => "unknown",
            Unconfigured => "unconfigured",
            Inactive => "inactive",
            Active => "active",
            Finalized => "finalized",
            Configuring => "configuring",
            CleaningUp => "cleaningup",
            ShuttingDown => "shuttingdown",
            Activating => "activating",
            Deactivating => "deactivating",
            ErrorProcessing => "errorprocessing",
        }
    }

    /// The transitions that leave this state.
    pub fn transitions(self) -> impl Iterator<Item = &'static Transition> {
        TRANSITIONS.iter().filter(move |transition| transition.start == self)
    }

    /// The transition from this state that a client asks for: by its label unless that is empty, else by its id.
    pub fn requested(self, id: u8, label: &str) -> Option<&'static Transition> {
        self.transitions()
            .find(|transition| if label.is_empty() { transition.id == id } else { transition.label == label })
    }

    /// The transition that ends this state with the result of its callback.
    pub fn completed(self, result: CallbackResult) -> Option<&'static Transition> {
        self.transitions().find(|transition| transition.label == result.label())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What the work of a transition came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackResult {
    /// The node goes on to the next state.
    Success,
    /// The node stays as it was.
    Failure,
    /// The node is in no good state: its errors must be processed.
    Error,
}

impl CallbackResult {
    fn label(self) -> &'static str {
        match self {
            Self::Success => "transition_success",
            Self::Failure => "transition_failure",
            Self::Error => "transition_error",
        }
    }
}

/// A way from one state to another. The number is that of `lifecycle_msgs/Transition`.
#[derive(Debug, PartialEq, Eq)]
pub struct Transition {
    /// Differs between transitions of the same label.
    pub id: u8,
    /// What a client asks for; several transitions share some.
    pub label: &'static str,
    /// The state that it leaves.
    pub start: State,
    /// The state that it leads to.
    pub goal: State,
}

const fn transition(id: u8, label: &'static str, start: State, goal: State) -> Transition {
    Transition { id, label, start, goal }
}

/// All transitions, in the order of their numbers.
pub static TRANSITIONS: [Transition; 25] = [
    transition(1, "configure", Unconfigured, Configuring),
    transition(2, "cleanup", Inactive, CleaningUp),
    transition(3, "activate", Inactive, Activating),
    transition(4, "deactivate", Active, Deactivating),
    transition(5, "shutdown", Unconfigured, ShuttingDown),
    transition(6, "shutdown", Inactive, ShuttingDown),
    transition(7, "shutdown", Active, ShuttingDown),
    transition(10, "transition_success", Configuring, Inactive),
    transition(11, "transition_failure", Configuring, Unconfigured),
    transition(12, "transition_error", Configuring, ErrorProcessing),
    transition(20, "transition_success", CleaningUp, Unconfigured),
    transition(21, "transition_failure", CleaningUp, Inactive),
    transition(22, "transition_error", CleaningUp, ErrorProcessing),
    transition(30, "transition_success", Activating, Active),
    transition(31, "transition_failure", Activating, Inactive),
    transition(32, "transition_error", Activating, ErrorProcessing),
    transition(40, "transition_success", Deactivating, Inactive),
    transition(41, "transition_failure", Deactivating, Active),
    transition(42, "transition_error", Deactivating, ErrorProcessing),
    transition(50, "transition_success", ShuttingDown, Finalized),
    transition(51, "transition_failure", ShuttingDown, Finalized),
    transition(52, "transition_error", ShuttingDown, ErrorProcessing),
    transition(60, "transition_success", ErrorProcessing, Unconfigured),
    transition(61, "transition_failure", ErrorProcessing, Finalized),
    transition(62, "transition_error", ErrorProcessing, Finalized),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_wins_over_an_id_and_both_count_from_the_current_state_only() {
        let id = |transition: Option<&Transition>| transition.map(|transition| transition.id);
        assert_eq!(id(Unconfigured.requested(1, "")), Some(1));
        assert_eq!(id(Unconfigured.requested(0, "configure")), Some(1));
        assert_eq!(id(Unconfigured.requested(1, "shutdown")), Some(5));
        assert_eq!(id(Active.requested(0, "shutdown")), Some(7));
        assert_eq!(id(Unconfigured.requested(3, "")), None);
        assert_eq!(id(Unconfigured.requested(1, "activate")), None);
        assert_eq!(id(Finalized.requested(5, "")), None);
        assert_eq!(id(Inactive.requested(0, "")), None);
    }

    #[test]
    fn each_transition_state_ends_in_three_ways() {
        for state in [Configuring, CleaningUp, ShuttingDown, Activating, Deactivating, ErrorProcessing] {
            for result in [CallbackResult::Success, CallbackResult::Failure, CallbackResult::Error] {
                assert!(state.completed(result).is_some(), "{state}: {result:?}");
            }
        }
        let goal = |state: State, result| state.completed(result).map(|transition| transition.goal);
        assert_eq!(goal(Configuring, CallbackResult::Failure), Some(Unconfigured));
        assert_eq!(goal(Deactivating, CallbackResult::Failure), Some(Active));
        assert_eq!(goal(ShuttingDown, CallbackResult::Failure), Some(Finalized));
        assert_eq!(goal(ErrorProcessing, CallbackResult::Success), Some(Unconfigured));
        assert_eq!(goal(Active, CallbackResult::Success), None);
    }

    #[test]
    fn numbers_are_those_of_the_messages() {
        assert!(TRANSITIONS.is_sorted_by_key(|transition| transition.id));
        assert_eq!(State::ALL.map(State::id), [0, 1, 2, 3, 4, 10, 11, 12, 13, 14, 15]);
        assert_eq!(Finalized.transitions().count(), 0);
    }
}
