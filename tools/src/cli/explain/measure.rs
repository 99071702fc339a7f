//! How much of the saliency lies on eyes, brows and mouth, and how stable it is within a class, for one or two networks.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use face_attributes::attributes::BuiltIn;
use face_attributes::faces::BoundingBox;
use face_attributes_tools::dataset::{Dataset, Format, Picture, class_folders};
use face_attributes_tools::occlusion::figures::Mean;
use face_attributes_tools::occlusion::mask::{FaceLayout, place_in_crop};
use face_attributes_tools::saliency_figures::{MAP_PX, Map, Regions, SaliencyFigures, figures, map_of};
use opencv::core::Size;
use opencv::prelude::*;
use serde::Serialize;

use super::{Args, Network};
use crate::outcome::Outcome;
use crate::progress::{print_left_out, progress_bar};
use crate::selection::spread;

/// The maps of each class, by its name.
type MapsByClass = Vec<(&'static str, Vec<Map>)>;

/// The figures of a network.
#[derive(Serialize)]
struct NetworkReport {
    network: String,
    classes: Vec<SaliencyFigures>,
}

#[derive(Serialize)]
struct Report {
    task: &'static str,
    method: &'static str,
    regions: [&'static str; 3],
    /// The share of the picture's area in each region.
    areas: [f64; 3],
    networks: Vec<NetworkReport>,
    /// Images that could not be explained.
    failed: u64,
}

pub fn run<A: BuiltIn>(args: &Args, folder: &Path, margin: f64, networks: Vec<Network<A>>) -> anyhow::Result<Outcome> {
    let layout =
        FaceLayout::of(Format::Folders).context("it is not known where eyes and mouths are in class folders")?;
    // The pictures are squares of the detector, and so are the maps.
    let map = Size::new(MAP_PX, MAP_PX);
    let regions = Regions::new(layout, place_in_crop(map, margin, map))?;
    let (maps, failed) = maps_of(args, &networks, &class_folders::<A>(folder)?);
    let of_networks = networks.into_iter().zip(&maps);
    let report = Report {
        task: A::TASK,
        method: args.method.name(),
        regions: Regions::NAMES,
        areas: regions.areas(),
        networks: of_networks
            .map(|(network, maps)| NetworkReport { network: network.facts.name, classes: figures(maps, &regions) })
            .collect(),
        failed,
    };
    writeln!(io::stdout(), "{}", if args.json { serde_json::to_string(&report)? } else { report.to_text() })?;
    Ok(if failed > 0 { Outcome::AnInputFailed } else { Outcome::Done })
}

/// By network and class, the maps of the faces, and the number of images that could not be explained.
fn maps_of<A: BuiltIn>(args: &Args, networks: &[Network<A>], dataset: &Dataset<A>) -> (Vec<MapsByClass>, u64) {
    let progress = progress_bar("faces");
    print_left_out(&progress, &dataset.left_out);
    let mut maps: Vec<MapsByClass> = vec![Vec::new(); networks.len()];
    let mut failed = 0;
    for class in A::CLASSES {
        let of_class: Vec<_> = dataset.samples.iter().filter(|sample| sample.truth == *class).collect();
        maps.iter_mut().for_each(|maps| maps.push((class.name(), Vec::new())));
        progress.inc_length(args.average.min(of_class.len()) as u64);
        for sample in spread(&of_class, args.average) {
            match explained(networks, &sample.picture, *class).with_context(|| sample.picture.to_string()) {
                Ok(of_networks) => {
                    let of_class = maps.iter_mut().filter_map(|maps| maps.last_mut());
                    of_class.zip(of_networks).for_each(|((_, maps), map)| maps.push(map));
                }
                Err(error) => {
                    failed += 1;
                    progress.suspend(|| eprintln!("error: {error:#}"));
                }
            }
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    (maps, failed)
}

/// What each network's saliency towards the class is.
fn explained<A: BuiltIn>(networks: &[Network<A>], picture: &Picture, class: A) -> anyhow::Result<Vec<Map>> {
    let gray = picture.read_gray()?;
    let whole = BoundingBox::of_image(gray.cols(), gray.rows());
    let map = |network: &Network<A>| {
        let saliency = network.explanation.explain_class(&gray, whole, class)?.saliency;
        Ok(map_of(&saliency.values, saliency.size)?)
    };
    networks.iter().map(map).collect()
}

impl Report {
    fn to_text(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let columns =
            ["network", "class", "eyes", "brows", "mouth", "all three", "stability", "other classes", "faces"];
        table.set_header(columns);
        for NetworkReport { network, classes } in &self.networks {
            for figures in classes {
                table.add_row(row(network, figures.class, figures, &figures.count.to_string()));
            }
            if let Some(mean) = mean_of(classes) {
                let count: u64 = classes.iter().map(|figures| figures.count).sum();
                table.add_row(row(network, "mean", &mean, &count.to_string()));
            }
        }
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let [eyes, brows, mouth] = self.areas.map(percent);
        let all = percent(self.areas.iter().sum());
        table.add_row(["share of the area", "", &eyes, &brows, &mouth, &all, "", "", ""]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!(
            "{table}\n{} saliency towards the class, {} failed. Eyes, brows, mouth: share of the saliency in percent, with 95 % \
             intervals. Stability: correlation of a face's map with the mean of the others of its class, and with the mean of \
             the other classes.",
            self.method, self.failed
        )
    }
}

fn row(network: &str, class: &str, figures: &SaliencyFigures, count: &str) -> [String; 9] {
    let with_margin = |figure: Mean, factor: f64, digits: usize| match (figure.mean, figure.margin) {
        (None, _) => "-".to_owned(),
        (Some(mean), None) => format!("{:.digits$}", factor * mean),
        (Some(mean), Some(margin)) => format!("{:.digits$} ± {:.digits$}", factor * mean, factor * margin),
    };
    let [eyes, brows, mouth] = figures.regions.map(|share| with_margin(share, 100.0, 1));
    [
        network.to_owned(),
        class.to_owned(),
        eyes,
        brows,
        mouth,
        with_margin(figures.on_features, 100.0, 1),
        with_margin(figures.stability, 1.0, 3),
        with_margin(figures.with_other_classes, 1.0, 3),
        count.to_owned(),
    ]
}

/// The mean over the classes, each of which counts alike; without intervals.
fn mean_of(classes: &[SaliencyFigures]) -> Option<SaliencyFigures> {
    let of = |figure: &dyn Fn(&SaliencyFigures) -> Mean| {
        let values: Vec<f64> = classes.iter().filter_map(|figures| figure(figures).mean).collect();
        Mean { margin: None, ..Mean::of(values.iter().copied()) }
    };
    Some(SaliencyFigures {
        class: classes.first()?.class,
        count: 0,
        regions: [0, 1, 2].map(|region| of(&|figures| figures.regions[region])),
        on_features: of(&|figures| figures.on_features),
        stability: of(&|figures| figures.stability),
        with_other_classes: of(&|figures| figures.with_other_classes),
    })
}
