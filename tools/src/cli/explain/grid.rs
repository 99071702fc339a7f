//! The paper's Figure 8 for a folder of labelled faces: samples of each class with their saliency, and the class's means.

use std::path::Path;

use anyhow::Context;
use face_attributes::attributes::BuiltIn;
use face_attributes::draw::{Row, Tile, draw_sheet};
use face_attributes::draw::{display, heat_map, stretched};
use face_attributes::faces::BoundingBox;
use face_attributes_tools::dataset::{Dataset, Picture, class_folders};
use face_attributes_tools::evaluation::card::ModelFacts;
use face_attributes_tools::mean_picture::MeanPicture;
use indicatif::ProgressBar;
use opencv::core::{CV_8UC1, Mat, Scalar};
use opencv::prelude::*;

use super::explanation::{Explained, Explanation};
use super::{Args, Network, write_picture};
use crate::outcome::Outcome;
use crate::progress::{print_left_out, progress_bar};
use crate::selection::spread;

pub fn run<A: BuiltIn>(args: &Args, folder: &Path, networks: Vec<Network<A>>) -> anyhow::Result<Outcome> {
    let (names, networks): (Vec<_>, Vec<_>) =
        networks.into_iter().map(|network| (short_name(&network.facts), network.explanation)).unzip();
    let Dataset { samples: faces, left_out, .. } = class_folders::<A>(folder)?;
    let mut grid = Grid { args, networks, progress: progress_bar("faces"), failed: false };
    print_left_out(&grid.progress, &left_out);
    let mut blocks = Vec::new();
    for class in A::CLASSES {
        let of_class: Vec<_> = faces.iter().filter(|face| face.truth == *class).map(|face| &face.picture).collect();
        blocks.push(grid.block(*class, &of_class)?);
    }
    grid.progress.finish_and_clear();
    let sheet = if args.samples > 0 { rows(&names, blocks) } else { means_only(&names, blocks) };
    write_picture(args, &draw_sheet(&sheet)?)?;
    Ok(if grid.failed { Outcome::AnInputFailed } else { Outcome::Done })
}

/// A class: first its faces, then their saliency for each network.
struct Block {
    class: &'static str,
    lines: Vec<Line>,
}

struct Line {
    samples: Vec<Tile>,
    mean: Tile,
}

/// As much of a network's name as a sheet has room for.
fn short_name(facts: &ModelFacts) -> String {
    const CHARACTERS: usize = 20;
    let architecture = facts.metadata.iter().find(|(key, _)| key == "architecture").map(|(_, value)| value);
    architecture.unwrap_or(&facts.name).chars().take(CHARACTERS).collect()
}

/// The classes below each other, the mean at the end of each line.
fn rows(networks: &[String], blocks: Vec<Block>) -> Vec<Row> {
    let mut rows = Vec::new();
    for Block { class, lines } in blocks {
        let names = std::iter::once(class.to_owned()).chain(networks.iter().cloned());
        for (Line { mut samples, mean }, name) in lines.into_iter().zip(names) {
            samples.push(mean);
            rows.push(Row { name, tiles: samples });
        }
    }
    rows
}

/// The classes beside each other.
fn means_only(networks: &[String], blocks: Vec<Block>) -> Vec<Row> {
    let names = std::iter::once("face".to_owned()).chain(networks.iter().cloned());
    let mut rows: Vec<_> = names.map(|name| Row { name, tiles: Vec::new() }).collect();
    for Block { class, lines } in blocks {
        for (row, Line { mut mean, .. }) in rows.iter_mut().zip(lines) {
            class.clone_into(&mut mean.caption);
            row.tiles.push(mean);
        }
    }
    rows
}

struct Grid<'a, A> {
    args: &'a Args,
    networks: Vec<Explanation<A>>,
    progress: ProgressBar,
    failed: bool,
}

impl<A: BuiltIn> Grid<'_, A> {
    fn block(&mut self, class: A, faces: &[&Picture]) -> anyhow::Result<Block> {
        let count = self.args.samples.min(faces.len()) + self.args.average.min(faces.len());
        self.progress.inc_length(count as u64);
        let mut samples: Vec<Vec<Tile>> = (0..=self.networks.len()).map(|_| Vec::new()).collect();
        for face in spread(faces, self.args.samples) {
            let Some(explained) = self.explain(face, None) else { continue };
            for (line, tile) in samples.iter_mut().zip(sample_tiles(&explained)?) {
                line.push(tile);
            }
        }
        let means = self.means(class, faces)?;
        let lines = samples.into_iter().zip(means).map(|(samples, mean)| Line { samples, mean }).collect();
        Ok(Block { class: class.name(), lines })
    }

    /// The mean face, and by network the mean magnitude of the saliency towards the class.
    fn means(&mut self, class: A, faces: &[&Picture]) -> anyhow::Result<Vec<Tile>> {
        let mut mean_face = MeanPicture::default();
        let mut magnitudes = vec![MeanPicture::default(); self.networks.len()];
        for face in spread(faces, self.args.average) {
            let Some(explained) = self.explain(face, Some(class)) else { continue };
            if let Some(first) = explained.first() {
                mean_face.add(first.crop.data_bytes()?.iter().map(|pixel| f32::from(*pixel)));
            }
            for (magnitude, explained) in magnitudes.iter_mut().zip(&explained) {
                magnitude.add(explained.saliency.values.iter().map(|value| value.abs()));
            }
        }
        let caption = format!("mean of {}", mean_face.count());
        let sizes = self.networks.iter().map(Explanation::input_size);
        let mut pictures = Vec::new();
        if mean_face.count() == 0 {
            let blank = Mat::new_rows_cols_with_default(1, 1, CV_8UC1, Scalar::all(255.0))?;
            pictures.resize(1 + self.networks.len(), blank);
        } else {
            let size = self.networks.first().map(Explanation::input_size);
            pictures.extend(size.map(|size| stretched(&mean_face.mean(), size)).transpose()?);
            for (magnitude, size) in magnitudes.iter().zip(sizes) {
                pictures.push(heat_map(&magnitude.mean(), size)?);
            }
        }
        Ok(pictures.into_iter().map(|picture| Tile { picture, caption: caption.clone() }).collect())
    }

    /// What each network says, of its target or of `class`; `None` where the file fails; it is skipped.
    fn explain(&mut self, face: &Picture, class: Option<A>) -> Option<Vec<Explained<A>>> {
        let explained = self.try_explain(face, class).with_context(|| face.to_string());
        self.progress.inc(1);
        explained
            .inspect_err(|error| {
                self.failed = true;
                self.progress.suspend(|| eprintln!("error: {error:#}"));
            })
            .ok()
    }

    fn try_explain(&self, face: &Picture, class: Option<A>) -> anyhow::Result<Vec<Explained<A>>> {
        let gray = face.read_gray()?;
        let whole = BoundingBox::of_image(gray.cols(), gray.rows());
        let explain = |network: &Explanation<A>| match class {
            Some(class) => network.explain_class(&gray, whole, class),
            None => network.explain(&gray, whole.into()),
        };
        self.networks.iter().map(explain).collect()
    }
}

/// The face, and below it what each network says.
fn sample_tiles<A: BuiltIn>(explained: &[Explained<A>]) -> anyhow::Result<Vec<Tile>> {
    let face = explained.iter().take(1).map(|first| Tile { picture: first.crop.clone(), caption: String::new() });
    let mut tiles: Vec<_> = face.collect();
    for Explained { estimate, saliency, .. } in explained {
        let caption = format!("{} {:.0}%", estimate.name(), 100.0 * estimate.confidence);
        tiles.push(Tile { picture: display(saliency)?, caption });
    }
    Ok(tiles)
}
