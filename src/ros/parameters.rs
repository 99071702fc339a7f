//! The node's parameters while it runs: one snapshot, which a set replaces as a whole.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use face_attributes::parameters::{Kind, ParameterError, Parameters, TABLE, Value};

/// The parameter that every ROS node has: whether its clock follows `/clock`.
pub const USE_SIM_TIME: &str = "use_sim_time";

/// Why a set was refused; the old values stay.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SetError {
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error("parameter '{name}' is read at the start only; change the parameter file and restart the node")]
    ReadOnly { name: String },
}

/// The parameters as they are now; clones share them.
#[derive(Debug, Clone)]
pub struct SharedParameters {
    current: Arc<Mutex<Arc<Parameters>>>,
    use_sim_time: bool,
}

impl SharedParameters {
    /// The parameters with which the node starts.
    pub fn new(parameters: Parameters, use_sim_time: bool) -> Self {
        Self { current: Arc::new(Mutex::new(Arc::new(parameters))), use_sim_time }
    }

    /// A snapshot of all parameters.
    pub fn get(&self) -> Arc<Parameters> {
        Arc::clone(&self.lock())
    }

    /// The value of one parameter, also of [`USE_SIM_TIME`].
    pub fn value(&self, name: &str) -> Option<Value> {
        if name == USE_SIM_TIME { Some(Value::Bool(self.use_sim_time)) } else { self.lock().get(name) }
    }

    /// Changes parameters, all of them or none. A snapshot has either all of the changes or none.
    ///
    /// # Errors
    /// [`SetError`] for the first change that is refused.
    pub fn set(&self, changes: &[(&str, Value)]) -> Result<(), SetError> {
        let mut current = self.lock();
        let mut changed = Parameters::clone(&current);
        for (name, value) in changes {
            if *name == USE_SIM_TIME {
                self.check_sim_time(value)?;
                continue;
            }
            changed.set(name, value)?;
            let is_read_only = Parameters::definition(name).is_some_and(|definition| definition.read_only);
            if is_read_only && changed.get(name) != current.get(name) {
                return Err(SetError::ReadOnly { name: (*name).to_owned() });
            }
        }
        if changed == **current {
            return Ok(());
        }
        let before = std::mem::replace(&mut *current, Arc::new(changed));
        let after = Arc::clone(&current);
        // Logging publishes: not while images wait for the lock.
        drop(current);
        for definition in TABLE.iter().filter(|definition| definition.get(&before) != definition.get(&after)) {
            log::info!("parameter {} is now {}", definition.name, definition.get(&after));
        }
        Ok(())
    }

    fn check_sim_time(&self, value: &Value) -> Result<(), SetError> {
        match value {
            Value::Bool(value) if *value == self.use_sim_time => Ok(()),
            Value::Bool(_) => Err(SetError::ReadOnly { name: USE_SIM_TIME.to_owned() }),
            got => Err(ParameterError::Type { name: USE_SIM_TIME, expected: Kind::Bool, got: got.clone() }.into()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Parameters>> {
        // A snapshot is swapped in whole, so that even a poisoned lock guards a good one.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn what_is_read_at_the_start_keeps_its_value_and_may_be_set_to_it() {
        let parameters = shared();
        let refusal = parameters.set(&[("emotion.model", "other.onnx".into())]).unwrap_err().to_string();
        assert!(refusal.contains("'emotion.model' is read at the start only"), "{refusal}");
        assert!(parameters.set(&[("detector.threads", 2.into())]).is_err());
        assert!(parameters.set(&[(USE_SIM_TIME, true.into())]).is_err());
        assert!(parameters.set(&[(USE_SIM_TIME, "yes".into())]).is_err());
        parameters
            .set(&[("emotion.model", "".into()), ("detector.threads", 1.into()), (USE_SIM_TIME, false.into())])
            .unwrap();
        assert_eq!(*parameters.get(), Parameters::default());
    }
}
