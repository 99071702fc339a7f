//! A managed node on r2r: states, transitions, services and events as those of rclcpp's `LifecycleNode`.
//!
//! [`Machine`] does the transitions of a [`Managed`] node. [`serve_lifecycle`] answers the clients: `ros2 lifecycle`, launch_ros and
//! nav2's lifecycle manager.

#[cfg(feature = "bond")]
mod bond;
mod machine;
mod messages;
mod services;
mod states;

#[cfg(feature = "bond")]
pub use bond::Bond;
pub use machine::{Machine, Managed, SharedState, TransitionError};
pub use services::{announcer, serve_lifecycle};
pub use states::State;
