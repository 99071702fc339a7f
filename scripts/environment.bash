# Source this for a shell in which ROS 2 and, once built, this package can be used:
#
#     source scripts/environment.bash
#
# It uses the ROS that is sourced already, else an installed ROS 2 Jazzy, else the prefix that scripts/setup makes. With
# FACE_ATTRIBUTES_FOR_TESTS=yes it uses what `scripts/build --for-tests` builds.

face_attributes_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# Setup files, of ROS and of Python, read variables that may be unset.
face_attributes_nounset="$(shopt -po nounset || true)"
set +u

face_attributes_prefix="$face_attributes_root/.ros/prefix"
face_attributes_python="$face_attributes_root/.ros/python"
if [[ -z "${AMENT_PREFIX_PATH:-}" || -z "${ROS_DISTRO:-}" ]]; then
    if [[ -f /opt/ros/jazzy/setup.bash ]]; then
        source /opt/ros/jazzy/setup.bash
    elif [[ -f "$face_attributes_prefix/bin/activate" ]]; then
        source "$face_attributes_prefix/bin/activate"
        export AMENT_PREFIX_PATH="$face_attributes_prefix" CMAKE_PREFIX_PATH="$face_attributes_prefix"
        export LD_LIBRARY_PATH="$face_attributes_prefix/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3 RMW_IMPLEMENTATION=rmw_fastrtps_cpp
        # Without this, the wheels start every Python process a second time to set these variables.
        export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
    fi
fi
# An installed ROS does not contain all Python packages that the demo and the tests need.
if [[ ":${AMENT_PREFIX_PATH:-}:" != *":$face_attributes_prefix:"* && -f "$face_attributes_python/bin/activate" ]]; then
    source "$face_attributes_python/bin/activate"
fi
face_attributes_install="$face_attributes_root/install"
if [[ -n "${FACE_ATTRIBUTES_FOR_TESTS:-}" ]]; then
    face_attributes_install="$face_attributes_root/build/tests/install"
    for face_attributes_package in bond hri_msgs tf2_msgs vision_msgs; do
        face_attributes_setup="$face_attributes_root/build/tests/interfaces/install/share/$face_attributes_package/local_setup.bash"
        # shellcheck source=/dev/null
        [[ ! -f "$face_attributes_setup" ]] || source "$face_attributes_setup"
    done
fi
if [[ -f "$face_attributes_install/share/face_attributes/local_setup.bash" ]]; then
    source "$face_attributes_install/share/face_attributes/local_setup.bash"
fi

eval "$face_attributes_nounset"
unset face_attributes_root face_attributes_nounset face_attributes_prefix face_attributes_python face_attributes_install
unset face_attributes_package face_attributes_setup
