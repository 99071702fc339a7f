//! Threads, rate limits and counters for a pipeline, without ROS.

mod backoff;
mod counters;
mod in_order;
mod loss;
mod mailbox;
mod opencv_threads;
mod pace;
mod rate_limit;
mod recent;
mod thread;
mod throttle;

pub use backoff::Backoff;
pub use counters::Counters;
pub use in_order::InOrder;
pub use loss::LossEstimator;
pub use mailbox::Mailbox;
pub use opencv_threads::{ThreadsError, set_opencv_threads};
pub use pace::Pace;
pub use rate_limit::RateLimit;
pub use recent::Recent;
pub use thread::{NamedThread, ThreadError};
pub use throttle::Throttle;
