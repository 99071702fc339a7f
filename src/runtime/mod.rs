//! Threads, rate limits and counters for a pipeline, without ROS.

mod counters;
mod in_order;
mod mailbox;
mod opencv_threads;
mod pace;
mod thread;
mod throttle;

pub use counters::Counters;
pub use in_order::InOrder;
pub use mailbox::Mailbox;
pub use opencv_threads::{ThreadsError, set_opencv_threads};
pub use pace::Pace;
pub use thread::{NamedThread, ThreadError};
pub use throttle::Throttle;
