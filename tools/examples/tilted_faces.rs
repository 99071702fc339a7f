//! Accuracy of the gender network on faces that are found in scenes, upright and tilted.
//!
//! Each picture of UTKFace is shown in a scene of 640x480 pixels, at a size and a place that depend on its number, and searched
//! with the pipeline as a still picture:
//!
//! ```sh
//! cargo run --release -p face_attributes_tools --example tilted_faces -- utkface --format utkface --held-out 0.15
//! ```

use anyhow::{Context, ensure};
use clap::Parser;
use face_attributes::attributes::{Attribute, FaceAttributes, Gender};
use face_attributes::faces::BoundingBox;
use face_attributes::frame::Frame;
use face_attributes::parameters::Parameters;
use face_attributes::pipeline::Pipeline;
use face_attributes_tools::dataset::{Dataset, DatasetSpec, Picture};
use face_attributes_tools::parameters::read_parameters;
use face_attributes_tools::source::read_bgr;
use opencv::core::{self, Mat, Point2f, Rect, Scalar, Size, Vec3b};
use opencv::imgproc;
use opencv::prelude::*;

/// Show labelled faces in scenes, and count how many are found and classified correctly.
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    data: DatasetSpec,
    /// Degrees by which the faces are tilted.
    #[arg(long, default_values_t = [0.0, 10.0, 20.0, 30.0])]
    tilt: Vec<f64>,
    /// Every so many pictures, one is taken.
    #[arg(long, default_value_t = 1)]
    step: usize,
    /// Parameter file (YAML), as for the node.
    #[arg(long)]
    params: Option<std::path::PathBuf>,
}

const SCENE: Size = Size { width: 640, height: 480 };
/// The face in a picture of UTKFace, as a fraction of the picture's side: its middle and the side of the square that OpenCV's
/// frontal cascade marks, in the median.
const MIDDLE: (f64, f64) = (0.5, 0.52);
const FACE_SIDE: f64 = 0.72;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let Parameters { pipeline, .. } = read_parameters(args.params.as_deref())?;
    let data: Dataset<Gender> = args.data.load()?;
    println!("{:>8}{:>8}{:>8}{:>10}{:>12}", "tilt", "faces", "found", "right", "accuracy");
    for tilt in &args.tilt {
        let mut pipeline = Pipeline::load(pipeline.clone())?;
        let (mut found, mut right, mut all) = (0, 0, 0);
        for (number, sample) in data.samples.iter().enumerate().step_by(args.step.max(1)) {
            let Picture::File(path) = &sample.picture else { anyhow::bail!("the pictures must be files") };
            // Half of the faces are tilted to the left.
            let tilt = if number % 2 == 0 { *tilt } else { -tilt };
            let (scene, face) = scene(&read_bgr(path)?, number as u32, tilt)?;
            let faces = pipeline.process_still(&Frame::from_bgr(&scene)?)?.faces;
            all += 1;
            let shown = faces.iter().filter(|found| found.roi.iou(&face) > 0.3);
            if let Some(best) = shown.max_by(|a, b| a.roi.iou(&face).total_cmp(&b.roi.iou(&face))) {
                found += 1;
                right += u32::from(answer(best)? == sample.truth);
            }
        }
        ensure!(all > 0, "no picture");
        let accuracy = 100.0 * f64::from(right) / f64::from(found.max(1));
        println!("{tilt:>8}{all:>8}{found:>8}{right:>10}{accuracy:>10.1} %");
    }
    Ok(())
}

/// The more probable class, whatever the least confidence.
fn answer(face: &FaceAttributes) -> anyhow::Result<Gender> {
    let estimate = face.raw.gender.as_ref().context("gender is switched off")?;
    Ok(Gender::CLASSES[estimate.best_position()])
}

/// The picture, turned by `tilt` degrees clockwise, in a scene of grey rectangles, and the square of its face.
fn scene(picture: &Mat, number: u32, tilt: f64) -> anyhow::Result<(Mat, BoundingBox)> {
    let mut state = number.wrapping_mul(2_654_435_761).wrapping_add(12345);
    let mut random = |below: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % below
    };
    let mut scene =
        Mat::new_rows_cols_with_default(SCENE.height, SCENE.width, Vec3b::opencv_type(), Scalar::all(110.0))?;
    for _ in 0..60 {
        let place = Rect::new(random(600) as i32, random(440) as i32, 20 + random(150) as i32, 20 + random(120) as i32);
        let color = Scalar::all(f64::from(40 + random(160)));
        imgproc::rectangle(&mut scene, place, color, imgproc::FILLED, imgproc::LINE_8, 0)?;
    }
    let side = f64::from(120 + random(140));
    let reach = (0.75 * side) as u32;
    let middle = (f64::from(reach + random(640 - 2 * reach)), f64::from(reach + random(480 - 2 * reach)));
    let scale = side / f64::from(picture.cols());
    let center = Point2f::new(picture.cols() as f32 / 2.0, picture.rows() as f32 / 2.0);
    // OpenCV turns counterclockwise.
    let mut to_scene = imgproc::get_rotation_matrix_2d(center, -tilt, scale)?;
    *to_scene.at_2d_mut::<f64>(0, 2)? += middle.0 - f64::from(center.x);
    *to_scene.at_2d_mut::<f64>(1, 2)? += middle.1 - f64::from(center.y);
    imgproc::warp_affine(
        picture,
        &mut scene,
        &to_scene,
        SCENE,
        imgproc::INTER_LINEAR,
        core::BORDER_TRANSPARENT,
        Scalar::default(),
    )?;
    let (sine, cosine) = tilt.to_radians().sin_cos();
    let (right, down) = ((MIDDLE.0 - 0.5) * side, (MIDDLE.1 - 0.5) * side);
    let face = (middle.0 + cosine * right - sine * down, middle.1 + sine * right + cosine * down);
    let width = FACE_SIDE * side;
    let begin = |center: f64| (center - width / 2.0).round() as i32;
    let square = BoundingBox { x: begin(face.0), y: begin(face.1), width: width as i32, height: width as i32 };
    Ok((scene, square))
}
