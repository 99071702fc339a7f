//! Reads a ROS 2 parameter file, so that what was tuned on the robot holds on the desk and the other way round.
