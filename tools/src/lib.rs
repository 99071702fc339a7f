//! Tools around `face_attributes`, for use without a robot and for studies: pictures from files, videos and cameras, labelled
//! data, evaluation, occlusion studies and reports. The command line uses them. The robot's build does not contain them.

pub mod corruption;
pub mod dataset;
pub mod evaluation;
pub mod hold;
pub mod mean_picture;
pub mod moving_picture;
pub mod occlusion;
pub mod parameters;
pub mod report;
pub mod saliency_figures;
pub mod side_by_side;
pub mod source;
pub mod task;
pub mod timeline;
