//! Leads a managed node from state to state: does the work of each transition and tells of it.

use std::sync::{Arc, Mutex, PoisonError};

use super::states::{CallbackResult, State, Transition};

/// What a managed node does in its transitions. The errors are logged; the machine decides what follows.
pub trait Managed {
    /// Loads what is needed and creates the outputs.
    ///
    /// # Errors
    /// The node stays unconfigured.
    async fn configure(&mut self) -> Result<(), TransitionError>;

    /// Begins to work.
    ///
    /// # Errors
    /// The node stays inactive.
    async fn activate(&mut self) -> Result<(), TransitionError>;

    /// Ends the work, and says on the outputs that nobody is there.
    ///
    /// # Errors
    /// The node stays active.
    async fn deactivate(&mut self) -> Result<(), TransitionError>;

    /// Frees what `configure` loaded and created.
    ///
    /// # Errors
    /// The node stays inactive.
    async fn clean_up(&mut self) -> Result<(), TransitionError>;

    /// Ends and frees everything, whatever the state.
    ///
    /// # Errors
    /// The node is finalized all the same.
    async fn shut_down(&mut self) -> Result<(), TransitionError>;
}

/// Why a transition did not succeed.
#[derive(Debug)]
pub enum TransitionError {
    /// The node is as it was before.
    Failure(anyhow::Error),
    /// The node is in no good state any more: it must be freed.
    Error(anyhow::Error),
}

impl TransitionError {
    fn result(&self) -> CallbackResult {
        match self {
            Self::Failure(_) => CallbackResult::Failure,
            Self::Error(_) => CallbackResult::Error,
        }
    }

    fn reason(&self) -> &anyhow::Error {
        let (Self::Failure(reason) | Self::Error(reason)) = self;
        reason
    }
}

/// The state as it is now, also during a transition. Clones share it.
#[derive(Debug, Clone)]
pub struct SharedState(Arc<Mutex<State>>);

impl SharedState {
    /// A node that was just started.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Unconfigured)))
    }

    /// The state now.
    pub fn get(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// The state machine of a node.
pub struct Machine<N> {
    /// The node.
    pub node: N,
    state: SharedState,
    announce: Box<dyn Fn(&Transition)>,
}

impl<N: Managed> Machine<N> {
    /// `announce` is called at each change of the state, with the transition that was taken.
    pub fn new(node: N, state: SharedState, announce: impl Fn(&Transition) + 'static) -> Self {
        Self { node, state, announce: Box::new(announce) }
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.state.get()
    }

    /// Takes the transition that a client asks for, by its label or else its id, and does its work. Returns whether that
    /// succeeded; not where there is no such transition from the current state.
    pub async fn request(&mut self, id: u8, label: &str) -> bool {
        let state = self.state();
        // A client can ask for nothing while a transition runs: requests wait for its end.
        let Some(transition) = state.requested(id, label) else {
            let possible: Vec<_> = state.transitions().map(|transition| transition.label).collect();
            let asked = if label.is_empty() { format!("number {id}") } else { format!("'{label}'") };
            log::warn!("there is no transition {asked} from the state {state}; there are: {}", possible.join(", "));
            return false;
        };
        self.take(transition);
        let result = self.run().await;
        if let Err(error) = &result {
            log::error!("cannot {}: {:#}", transition.label, error.reason());
        }
        self.complete(result.as_ref().map_or_else(TransitionError::result, |()| CallbackResult::Success));
        if self.state() == State::ErrorProcessing {
            self.process_error().await;
        }
        log::info!("{}", self.state());
        result.is_ok()
    }

    /// Does the work of the transition state.
    async fn run(&mut self) -> Result<(), TransitionError> {
        match self.state() {
            State::Configuring => self.node.configure().await,
            State::Activating => self.node.activate().await,
            State::Deactivating => self.node.deactivate().await,
            State::CleaningUp => self.node.clean_up().await,
            // No other state is the goal of a transition that a client can ask for.
            _ => self.node.shut_down().await,
        }
    }

    /// After an error, what is left is freed, so that the node can be configured again; else it is finalized.
    async fn process_error(&mut self) {
        let result = self.node.shut_down().await;
        if let Err(error) = &result {
            log::error!("cannot free what is left after the error: {:#}", error.reason());
        }
        self.complete(result.as_ref().map_or(CallbackResult::Failure, |()| CallbackResult::Success));
    }

    fn complete(&mut self, result: CallbackResult) {
        if let Some(transition) = self.state().completed(result) {
            self.take(transition);
        }
    }

    fn take(&mut self, transition: &Transition) {
        self.state.set(transition.goal);
        (self.announce)(transition);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use anyhow::anyhow;

    use super::*;

    /// Fails in the next transition, if told so.
    #[derive(Default)]
    struct Scripted {
        next: Option<TransitionError>,
        log: Vec<&'static str>,
    }

    impl Scripted {
        fn work(&mut self, what: &'static str) -> Result<(), TransitionError> {
            self.log.push(what);
            self.next.take().map_or(Ok(()), Err)
        }
    }

    impl Managed for Scripted {
        async fn configure(&mut self) -> Result<(), TransitionError> {
            self.work("configure")
        }

        async fn activate(&mut self) -> Result<(), TransitionError> {
            self.work("activate")
        }

        async fn deactivate(&mut self) -> Result<(), TransitionError> {
            self.work("deactivate")
        }

        async fn clean_up(&mut self) -> Result<(), TransitionError> {
            self.work("clean up")
        }

        async fn shut_down(&mut self) -> Result<(), TransitionError> {
            self.work("shut down")
        }
    }

    fn machine() -> (Machine<Scripted>, Rc<RefCell<Vec<u8>>>) {
        let taken = Rc::new(RefCell::new(Vec::new()));
        let announced = Rc::clone(&taken);
        let announce = move |transition: &Transition| announced.borrow_mut().push(transition.id);
        (Machine::new(Scripted::default(), SharedState::new(), announce), taken)
    }

    #[tokio::test]
    async fn each_transition_does_its_work_and_is_told_of() {
        let (mut machine, taken) = machine();
        for label in ["configure", "activate", "deactivate", "cleanup", "configure", "shutdown"] {
            assert!(machine.request(0, label).await, "{label}");
        }
        assert_eq!(machine.state(), State::Finalized);
        let work = ["configure", "activate", "deactivate", "clean up", "configure", "shut down"];
        assert_eq!(machine.node.log, work);
        assert_eq!(*taken.borrow(), [1, 10, 3, 30, 4, 40, 2, 20, 1, 10, 6, 50]);
    }

    #[tokio::test]
    async fn a_failure_leaves_the_node_as_it_was() {
        let (mut machine, taken) = machine();
        machine.node.next = Some(TransitionError::Failure(anyhow!("no such file")));
        assert!(!machine.request(1, "").await);
        assert_eq!((machine.state(), &taken.borrow()[..]), (State::Unconfigured, &[1, 11][..]));
        assert!(machine.request(1, "").await);
        assert_eq!(machine.state(), State::Inactive);
    }

    #[tokio::test]
    async fn after_an_error_the_node_is_freed_and_can_be_configured_again() {
        let (mut machine, taken) = machine();
        machine.request(1, "").await;
        machine.node.next = Some(TransitionError::Error(anyhow!("thread lost")));
        assert!(!machine.request(3, "").await);
        assert_eq!(machine.state(), State::Unconfigured);
        assert_eq!(taken.borrow()[2..], [3, 32, 60]);
        assert_eq!(machine.node.log.last(), Some(&"shut down"));
        assert!(machine.request(1, "").await);
    }

    #[tokio::test]
    async fn what_the_state_does_not_allow_is_refused_and_not_told_of() {
        let (mut machine, taken) = machine();
        for (id, label) in [(3, ""), (0, "activate"), (10, ""), (0, "transition_success"), (0, ""), (99, "")] {
            assert!(!machine.request(id, label).await);
        }
        assert_eq!(machine.state(), State::Unconfigured);
        assert!(taken.borrow().is_empty() && machine.node.log.is_empty());
    }
}
