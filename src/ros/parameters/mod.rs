//! The node's parameters while it runs: their values, the services and the events that every ROS node has for them.
//!
//! r2r has parameter services as well. They report the type of what was set last and not of the parameter, make an atomic set one
//! parameter after the other, and all end with the first client that does not wait for its answer.

mod events;
mod message;
mod services;
mod set_error;
mod setter;
mod shared;

pub use events::ParameterEvents;
pub use services::serve_parameters;
pub use setter::Setter;
pub use shared::SharedParameters;

/// Whether the node's clock follows `/clock`. Every ROS node has this parameter.
const USE_SIM_TIME: &str = "use_sim_time";

/// Whether the node describes its types to others. Every ROS node has this parameter.
const START_TYPE_DESCRIPTION_SERVICE: &str = "start_type_description_service";

/// The parameters that are no part of [`TABLE`](face_attributes::parameters::TABLE).
const OF_EVERY_NODE: [&str; 2] = [USE_SIM_TIME, START_TYPE_DESCRIPTION_SERVICE];
