//! The node's parameters while it runs: one snapshot, which a set replaces as a whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use face_attributes::parameters::{Definition, Kind, Mutability, ParameterError, Parameters, TABLE, Value};

/// The parameter that every ROS node has: whether its clock follows `/clock`.
pub const USE_SIM_TIME: &str = "use_sim_time";

/// The parameter that every ROS node has: whether it describes its types to others.
pub const START_TYPE_DESCRIPTION_SERVICE: &str = "start_type_description_service";

/// Why a set was refused; the old values stay.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetError {
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error("parameter '{name}' cannot be set because it is read-only")]
    ReadOnly { name: &'static str },
    #[error("parameter '{name}' cannot be set while the node is active; deactivate the node first")]
    Active { name: &'static str },
}

/// The parameters as they are now; clones share them.
#[derive(Debug, Clone)]
pub struct SharedParameters {
    state: Arc<Mutex<State>>,
    use_sim_time: bool,
}

#[derive(Debug)]
struct State {
    current: Arc<Parameters>,
    is_active: bool,
}

impl SharedParameters {
    /// The parameters with which the node starts.
    pub fn new(parameters: Parameters, use_sim_time: bool) -> Self {
        let state = State { current: Arc::new(parameters), is_active: false };
        Self { state: Arc::new(Mutex::new(state)), use_sim_time }
    }

    /// A snapshot of all parameters.
    pub fn get(&self) -> Arc<Parameters> {
        Arc::clone(&self.lock().current)
    }

    /// Says whether the node is active. While it is, a parameter that is read when the node is configured cannot be set.
    ///
    /// Returns the parameters as they are at this moment: after `set_active(true)` they hold what the node has to run with, as no
    /// set can come in between.
    pub fn set_active(&self, is_active: bool) -> Arc<Parameters> {
        let mut state = self.lock();
        state.is_active = is_active;
        Arc::clone(&state.current)
    }

    /// The value of one parameter, also of those that every ROS node has.
    pub fn value(&self, name: &str) -> Option<Value> {
        match name {
            USE_SIM_TIME => Some(Value::Bool(self.use_sim_time)),
            START_TYPE_DESCRIPTION_SERVICE => Some(Value::Bool(false)),
            _ => self.lock().current.get(name),
        }
    }

    /// Changes parameters, all of them or none. A snapshot has either all of the changes or none.
    ///
    /// # Errors
    /// [`SetError`] for the first change that is refused.
    pub fn set(&self, changes: &[(&str, Value)]) -> Result<(), SetError> {
        let mut state = self.lock();
        let mut changed = Parameters::clone(&state.current);
        for (name, value) in changes {
            match *name {
                USE_SIM_TIME => check_unchanged(USE_SIM_TIME, self.use_sim_time, value)?,
                START_TYPE_DESCRIPTION_SERVICE => check_unchanged(START_TYPE_DESCRIPTION_SERVICE, false, value)?,
                _ => changed.set(name, value)?,
            }
        }
        let is_changed = |definition: &&Definition| definition.get(&changed) != definition.get(&state.current);
        let changed_definitions: Vec<_> = TABLE.iter().filter(is_changed).collect();
        for Definition { name, mutability, .. } in &changed_definitions {
            match mutability {
                Mutability::ReadOnly => return Err(SetError::ReadOnly { name }),
                Mutability::AtConfigure if state.is_active => return Err(SetError::Active { name }),
                Mutability::AtConfigure | Mutability::Live => {}
            }
        }
        if changed_definitions.is_empty() {
            return Ok(());
        }
        let after = Arc::new(changed);
        state.current = Arc::clone(&after);
        // Logging publishes: not while images wait for the lock.
        drop(state);
        for definition in changed_definitions {
            log::info!("parameter {} is now {}", definition.name, definition.get(&after));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A snapshot is swapped in whole, so that even a poisoned lock guards a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_unchanged(name: &'static str, current: bool, value: &Value) -> Result<(), SetError> {
    match value {
        Value::Bool(value) if *value == current => Ok(()),
        Value::Bool(_) => Err(SetError::ReadOnly { name }),
        got => Err(ParameterError::Type { name, expected: Kind::Bool, got: got.clone() }.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn shared() -> SharedParameters {
        SharedParameters::new(Parameters::default(), false)
    }

    #[test]
    fn changes_are_made_together_or_not_at_all() {
        let parameters = shared();
        let before = parameters.get();
        let refused = parameters.set(&[("detector.min_neighbors", 3.into()), ("gender.margin", (-0.1).into())]);
        assert!(matches!(refused, Err(SetError::Parameter(ParameterError::Range { name: "gender.margin", .. }))));
        assert_eq!(parameters.get(), before);
        parameters.set(&[("detector.min_neighbors", 3.into()), ("gender.margin", 0.1.into())]).unwrap();
        assert_eq!(parameters.value("detector.min_neighbors"), Some(3.into()));
        assert_eq!(parameters.value("gender.margin"), Some(0.1.into()));
        assert_eq!(*before, Parameters::default());
    }

    #[test]
    fn a_snapshot_never_shows_a_set_half_done() {
        let parameters = shared();
        let setter = thread::spawn({
            let parameters = parameters.clone();
            move || {
                for n in 1..=2000 {
                    let value = Value::Double(f64::from(n) / 2000.0);
                    parameters.set(&[("emotion.margin", value.clone()), ("gender.margin", value)]).unwrap();
                }
            }
        });
        parameters.set(&[("gender.margin", 0.0.into())]).unwrap();
        while !setter.is_finished() {
            let snapshot = parameters.get();
            let attributes = &snapshot.pipeline.attributes;
            // The set above may come in between the others; it is the only one that makes them differ.
            assert!(attributes.emotion.margin == attributes.gender.margin || attributes.gender.margin == 0.0);
        }
        setter.join().unwrap();
    }

    #[test]
    fn an_integer_that_is_set_where_a_double_is_expected_is_reported_as_a_double() {
        let parameters = shared();
        parameters.set(&[("gender.margin", Value::Integer(1))]).unwrap();
        assert_eq!(parameters.value("gender.margin"), Some(Value::Double(1.0)));
    }

    #[test]
    fn what_is_read_only_keeps_its_value_and_may_be_set_to_it() {
        let parameters = shared();
        for (name, value) in [("autostart", false), (USE_SIM_TIME, true), (START_TYPE_DESCRIPTION_SERVICE, true)] {
            let refusal = parameters.set(&[(name, value.into())]).unwrap_err().to_string();
            assert_eq!(refusal, format!("parameter '{name}' cannot be set because it is read-only"));
            assert!(parameters.set(&[(name, "yes".into())]).is_err());
            parameters.set(&[(name, (!value).into())]).unwrap();
        }
        assert_eq!(*parameters.get(), Parameters::default());
    }

    #[test]
    fn what_is_read_at_configuring_can_be_set_while_the_node_is_not_active() {
        let parameters = shared();
        parameters.set(&[("detector.threads", 2.into())]).unwrap();
        assert_eq!(parameters.set_active(true).pipeline.faces.detector.threads, 2);
        let front = Value::Strings(vec!["front".to_owned()]);
        for (name, value) in
            [("emotion.model", "other.onnx".into()), ("detector.threads", 3.into()), ("cameras", front)]
        {
            let refusal = parameters.set(&[("gender.margin", 0.9.into()), (name, value)]).unwrap_err();
            assert_eq!(refusal, SetError::Active { name });
            assert!(refusal.to_string().contains("deactivate the node first"), "{refusal}");
        }
        parameters.set(&[("emotion.model", "".into()), ("detector.threads", 2.into())]).unwrap();
        assert_eq!(parameters.value("gender.margin"), Some(Value::Double(0.2)));
        parameters.set_active(false);
        parameters.set(&[("detector.threads", 3.into())]).unwrap();
    }
}
