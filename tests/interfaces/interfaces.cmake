# Generates the messages of one package of this folder. Set before: dependencies.
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
foreach(dependency IN LISTS dependencies)
  find_package(${dependency} REQUIRED)
endforeach()
file(GLOB messages RELATIVE ${CMAKE_CURRENT_SOURCE_DIR} msg/*.msg)
rosidl_generate_interfaces(${PROJECT_NAME} ${messages} DEPENDENCIES ${dependencies})
# CMake refuses to export a path below the source folder, and NumPy's headers are there where ROS comes from .ros/prefix.
get_target_property(python_includes ${PROJECT_NAME}__rosidl_generator_py INTERFACE_INCLUDE_DIRECTORIES)
set_target_properties(${PROJECT_NAME}__rosidl_generator_py PROPERTIES
  INTERFACE_INCLUDE_DIRECTORIES "$<BUILD_INTERFACE:${python_includes}>")
ament_package()
