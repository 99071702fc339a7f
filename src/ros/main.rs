//! The ROS 2 node `face_attributes`.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match face_attributes::ros::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("face_attributes_node: {error:#}");
            ExitCode::FAILURE
        }
    }
}
