//! The ROS 2 node: receives images, hands the newest to the pipeline, publishes what was found.
//!
//! Four threads: `ros_spin` talks to DDS, `inference` runs the pipeline, `saliency` explains what that has published, and the
//! main thread moves images from the first to the second and waits for the signal to stop. Slow work makes frames drop,
//! never queue.

mod logger;
mod mailbox;
mod message;
mod node;
mod parameters;
mod publish;
mod saliency;
mod silence;
mod throttle;
mod worker;

pub use node::run;
