//! The ROS 2 node: receives images, hands the newest to the pipeline, publishes what was found.
//!
//! Three threads: `ros_spin` talks to DDS, `inference` runs the pipeline, and the main thread moves images from the one to
//! the other and waits for the signal to stop. Slow inference makes frames drop, never queue.

mod logger;
mod mailbox;
mod message;
mod node;
mod parameters;
mod silence;
mod throttle;
mod worker;

pub use node::run;
