//! Batches of augmented images, which a separate thread prepares while the network learns.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, Scope};

use anyhow::Context;
use face_attributes_tools::occlusion::mask::FaceLayout;
use opencv::core::Mat;
use rand::Rng;
use rand::seq::SliceRandom;

use super::targets::Targets;
use crate::augment::View;
use crate::camera::CameraFaults;
use crate::data::Dataset;
use crate::glasses::Glasses;
use crate::random::{Purpose, numbers};
use crate::recipe::Recipe;

/// Largest number of waiting batches.
const QUEUE_LENGTH: usize = 4;

/// A number of images with their classes.
pub struct Batch {
    /// Pixels in -1 to 1, image by image, row by row.
    pub pixels: Vec<f32>,
    /// Positions of the classes.
    pub classes: Vec<usize>,
    /// Target probabilities, image by image: rows of [`Targets`].
    pub targets: Vec<f32>,
}

/// All training images once, in the order and with the views of the epoch `epoch`. The thread ends with the receiver.
pub fn augmented<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    dataset: &'env Dataset,
    targets: &'env Targets,
    recipe: &'env Recipe,
    epoch: u32,
) -> anyhow::Result<Receiver<anyhow::Result<Batch>>> {
    let (sender, receiver) = sync_channel(QUEUE_LENGTH);
    let make_all = move || {
        let mut order: Vec<_> = (0..dataset.training.len()).collect();
        order.shuffle(&mut numbers(recipe.seed, epoch, Purpose::Order));
        for positions in order.chunks(recipe.batch_size) {
            let batch = augmented_batch(dataset, targets, recipe, epoch, positions);
            if sender.send(batch).is_err() {
                return;
            }
        }
    };
    Builder::new().name("augmentation".to_owned()).spawn_scoped(scope, make_all).context("cannot start a thread")?;
    Ok(receiver)
}

fn augmented_batch(
    dataset: &Dataset,
    targets: &Targets,
    recipe: &Recipe,
    epoch: u32,
    positions: &[usize],
) -> anyhow::Result<Batch> {
    let mut pixels = Vec::with_capacity(positions.len() * recipe.side_px * recipe.side_px);
    let (mut classes, mut targets_of_batch) = (Vec::with_capacity(positions.len()), Vec::new());
    for &position in positions {
        let example = &dataset.training[position];
        let mut numbers = numbers(recipe.seed, epoch, Purpose::Image(position as u32));
        let mut view = View::draw(&recipe.augmentation, &mut numbers);
        let with_glasses = with_glasses(&example.image, recipe, epoch, position)?;
        let mut image = with_glasses.as_ref().unwrap_or(&example.image);
        let seen;
        if let Some(faults) = camera_faults(recipe, epoch, position) {
            view = view.with_box_off_by(faults.box_offset());
            seen = faults.apply(image)?;
            image = &seen;
        }
        view.append_pixels(image, recipe.side_px, &mut pixels)?;
        classes.push(example.class);
        targets_of_batch.extend_from_slice(targets.row(position));
    }
    Ok(Batch { pixels, classes, targets: targets_of_batch })
}

/// The image with glasses, in the share of the images that the recipe says.
fn with_glasses(image: &Mat, recipe: &Recipe, epoch: u32, position: usize) -> anyhow::Result<Option<Mat>> {
    let mut numbers = numbers(recipe.seed, epoch, Purpose::Glasses(position as u32));
    let layout = FaceLayout::of(recipe.data.format).filter(|_| numbers.random::<f64>() < recipe.augmentation.glasses);
    Ok(layout.map(|layout| Glasses::draw(&mut numbers).put_on(image, layout)).transpose()?)
}

/// The faults of the camera, in the share of the images that the recipe says.
fn camera_faults(recipe: &Recipe, epoch: u32, position: usize) -> Option<CameraFaults> {
    let camera = recipe.augmentation.camera.as_ref()?;
    CameraFaults::draw(camera, &mut numbers(recipe.seed, epoch, Purpose::Camera(position as u32)))
}
