//! The ROS 2 node `face_attributes`: receives images, hands the newest to the pipeline, publishes what is in the scene.
//!
//! Threads: `ros_spin` talks to DDS; per camera, `inference` runs the pipeline and publishes, and `saliency` explains what was
//! published; the main thread moves images from the first to the second, answers the parameter services, and waits for the
//! signal to stop. Slow work makes images drop, never queue.

mod analysis;
mod arguments;
mod camera;
mod diagnostics;
mod input;
mod lifecycle;
mod logger;
mod managed;
mod memory;
mod names;
mod node;
mod output;
mod parameters;
mod priority;
mod rcutils;
mod services;
mod spinner;

use std::process::ExitCode;

use arguments::{HELP, Request, Settings, VERSION};

fn main() -> ExitCode {
    // SAFETY: no other thread was started yet.
    #[allow(unsafe_code, reason = "the environment can only be changed here")]
    let ignored = unsafe { rcutils::ignore_invalid_switches() };
    let result = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Request::Run(settings)) => run(settings, &ignored),
        Ok(Request::Help) => {
            print!("{HELP}");
            Ok(())
        }
        Ok(Request::Version) => {
            println!("{VERSION}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("face_attributes_node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(settings: Settings, warnings: &[String]) -> anyhow::Result<()> {
    node::run(settings, warnings).await
}
