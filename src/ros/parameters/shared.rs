//! The node's parameters while it runs: one snapshot, which a set replaces as a whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use face_attributes::parameters::{Definition, Kind, Mutability, ParameterError, Parameters, TABLE, Value};

use super::set_error::SetError;
use super::{START_TYPE_DESCRIPTION_SERVICE, USE_SIM_TIME};

/// The parameters as they are now; clones share them.
#[derive(Debug, Clone)]
pub struct SharedParameters {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    current: Arc<Parameters>,
    use_sim_time: bool,
    is_active: bool,
}

/// What a set makes of the parameters.
struct Changed {
    parameters: Parameters,
    use_sim_time: bool,
    definitions: Vec<&'static Definition>,
}

impl SharedParameters {
    /// The parameters with which the node starts.
    pub fn new(parameters: Parameters, use_sim_time: bool) -> Self {
        let state = State { current: Arc::new(parameters), use_sim_time, is_active: false };
        Self { state: Arc::new(Mutex::new(state)) }
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
            USE_SIM_TIME => Some(Value::Bool(self.lock().use_sim_time)),
            START_TYPE_DESCRIPTION_SERVICE => Some(Value::Bool(false)),
            _ => self.lock().current.get(name),
        }
    }

    /// Whether the changes would be made now. Returns the new value of `use_sim_time` where it changes.
    ///
    /// # Errors
    /// [`SetError`] for the first change that is refused.
    pub fn check(&self, changes: &[(&str, Value)]) -> Result<Option<bool>, SetError> {
        let state = self.lock();
        let changed = state.change(changes)?;
        Ok((changed.use_sim_time != state.use_sim_time).then_some(changed.use_sim_time))
    }

    /// Changes parameters, all of them or none. A snapshot has either all of the changes or none.
    ///
    /// # Errors
    /// [`SetError`] for the first change that is refused.
    pub fn set(&self, changes: &[(&str, Value)]) -> Result<(), SetError> {
        let mut state = self.lock();
        let Changed { parameters, use_sim_time, definitions } = state.change(changes)?;
        let after = Arc::new(parameters);
        let is_time_changed = use_sim_time != state.use_sim_time;
        state.current = Arc::clone(&after);
        state.use_sim_time = use_sim_time;
        // Logging publishes: not while images wait for the lock.
        drop(state);
        for definition in definitions {
            log::info!("parameter {} is now {}", definition.name, definition.get(&after));
        }
        if is_time_changed {
            log::info!("parameter {USE_SIM_TIME} is now {use_sim_time}");
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A snapshot is swapped in whole, so that even a poisoned lock guards a good one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What the changes make of the parameters.
    fn change(&self, changes: &[(&str, Value)]) -> Result<Changed, SetError> {
        if changes.is_empty() {
            return Err(SetError::Empty);
        }
        let mut parameters = Parameters::clone(&self.current);
        let mut use_sim_time = self.use_sim_time;
        for (name, value) in changes {
            match *name {
                USE_SIM_TIME => use_sim_time = bool_of(USE_SIM_TIME, value)?,
                // It is false, and read only.
                START_TYPE_DESCRIPTION_SERVICE if bool_of(START_TYPE_DESCRIPTION_SERVICE, value)? => {
                    return Err(SetError::ReadOnly { name: START_TYPE_DESCRIPTION_SERVICE });
                }
                START_TYPE_DESCRIPTION_SERVICE => {}
                _ => parameters.set(name, value)?,
            }
        }
        let is_changed = |definition: &&Definition| definition.get(&parameters) != definition.get(&self.current);
        let definitions: Vec<_> = TABLE.iter().filter(is_changed).collect();
        for Definition { name, mutability, .. } in &definitions {
            match mutability {
                Mutability::ReadOnly => return Err(SetError::ReadOnly { name }),
                Mutability::AtConfigure if self.is_active => return Err(SetError::Active { name }),
                Mutability::AtConfigure | Mutability::Live => {}
            }
        }
        Ok(Changed { parameters, use_sim_time, definitions })
    }
}

fn bool_of(name: &'static str, value: &Value) -> Result<bool, ParameterError> {
    match value {
        Value::Bool(value) => Ok(*value),
        got => Err(ParameterError::Type { name, expected: Kind::Bool, got: got.clone() }),
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
        assert!(matches!(refused, Err(SetError::Range { name: "gender.margin", .. })));
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
        for (name, value) in [("autostart", false), (START_TYPE_DESCRIPTION_SERVICE, true)] {
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

    #[test]
    fn the_time_is_set_with_the_others_or_not_at_all() {
        let parameters = shared();
        let sim_time = [(USE_SIM_TIME, true.into())];
        let wrong = [(USE_SIM_TIME, true.into()), ("gender.margin", 7.0.into())];
        assert!(parameters.check(&wrong).is_err());
        assert!(parameters.set(&wrong).is_err());
        assert_eq!(parameters.value(USE_SIM_TIME), Some(false.into()));
        assert_eq!(parameters.check(&sim_time), Ok(Some(true)));
        parameters.set(&sim_time).unwrap();
        assert_eq!(parameters.value(USE_SIM_TIME), Some(true.into()));
        assert_eq!(parameters.check(&sim_time), Ok(None));
    }

    #[test]
    fn refusals_say_what_rclcpp_says() {
        let not_set = Value::Other(super::super::message::NOT_SET.to_owned());
        for (name, value, reason) in [
            ("gender.width", 1.0.into(), "parameter 'gender.width' cannot be set because it was not declared"),
            ("gender.margin", "wide".into(), {
                "Wrong parameter type, parameter {gender.margin} is of type {double}, setting it to {string} is not allowed."
            }),
            ("cameras", Value::Other("integer_array".to_owned()), {
                "Wrong parameter type, parameter {cameras} is of type {string_array}, setting it to {integer_array} is not \
                 allowed."
            }),
            (USE_SIM_TIME, 1.into(), {
                "Wrong parameter type, parameter {use_sim_time} is of type {bool}, setting it to {integer} is not allowed."
            }),
            ("gender.margin", 7.0.into(), {
                "Parameter {gender.margin} doesn't comply with floating point range. It takes 0 to 1, got 7.0."
            }),
            ("search.longer_side", 5.into(), {
                "Parameter {search.longer_side} doesn't comply with integer range. It takes 64 to 1280, got 5."
            }),
            ("gender.margin", not_set, "cannot undeclare a statically typed parameter: 'gender.margin'"),
            ("saliency.method", "lrp".into(), {
                "parameter 'saliency.method' takes one of guided, gradient, grad-cam, got \"lrp\""
            }),
        ] {
            assert_eq!(shared().set(&[(name, value)]).unwrap_err().to_string(), reason);
        }
        assert_eq!(shared().set(&[]), Err(SetError::Empty));
    }
}
