//! The faces that the search network or the checked cascades find in the pictures of a folder, a line of JSON for each picture,
//! and the mean CPU time per picture:
//!
//! ```sh
//! cargo run --release -p face_attributes_tools --example find_faces -- network pictures 640 0.45 > found.jsonl
//! cargo run --release -p face_attributes_tools --example find_faces -- cascades pictures 0.05 1.3 3 4 > found.jsonl
//! ```
//!
//! The numbers are longer side in pixels and least confidence; and smallest face, scale factor, neighbours and those of the
//! check, as in the parameters `detector.*`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use cpu_time::ProcessTime;
use face_attributes::faces::{Cascades, Detection, DetectorParameters, SearchNetwork};
use face_attributes::frame::Frame;
use opencv::core::Mat;
use opencv::imgcodecs::{IMREAD_COLOR, imread};
use serde_json::json;

type Find = Box<dyn FnMut(&Mat) -> anyhow::Result<Vec<Detection>>>;

fn main() -> anyhow::Result<()> {
    opencv::core::set_num_threads(1)?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (folder, mut find) = match arguments[..] {
        ["network", folder, longer_side_px, min_confidence] => {
            (folder, with_network(longer_side_px.parse()?, min_confidence.parse()?)?)
        }
        ["cascades", folder, min_face_size, scale_factor, min_neighbors, check_neighbors] => {
            let parameters = DetectorParameters {
                min_face_size: min_face_size.parse()?,
                scale_factor: scale_factor.parse()?,
                min_neighbors: min_neighbors.parse()?,
                check_neighbors: check_neighbors.parse()?,
                ..DetectorParameters::default()
            };
            (folder, with_cascades(parameters)?)
        }
        _ => bail!("expected 'network FOLDER LONGER_SIDE_PX MIN_CONFIDENCE' or 'cascades FOLDER' and four numbers"),
    };
    let mut total = Duration::ZERO;
    let pictures = pictures_in(Path::new(folder))?;
    for path in &pictures {
        let name = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
        let bgr = imread(name, IMREAD_COLOR)?;
        // A plan for a new size of picture is made once, and does not count.
        find(&bgr).with_context(|| name.to_owned())?;
        let start = ProcessTime::now();
        let found = find(&bgr)?;
        total += start.elapsed();
        println!("{}", json!({ "file": name, "faces": found.iter().map(as_json).collect::<Vec<_>>() }));
    }
    eprintln!("{} pictures, {:.1} ms each", pictures.len(), total.as_secs_f64() * 1e3 / pictures.len().max(1) as f64);
    Ok(())
}

fn with_network(longer_side_px: i32, min_confidence: f32) -> anyhow::Result<Find> {
    let mut network = SearchNetwork::load(None)?;
    Ok(Box::new(move |bgr| Ok(network.search(bgr, longer_side_px, min_confidence)?)))
}

fn with_cascades(parameters: DetectorParameters) -> anyhow::Result<Find> {
    let mut cascades = Cascades::load(&parameters)?;
    Ok(Box::new(move |bgr| Ok(cascades.detect(&Frame::from_bgr(bgr)?.to_gray()?, &parameters)?)))
}

fn as_json(face: &Detection) -> serde_json::Value {
    let roi = face.roi;
    json!({
        "roi": { "x": roi.x, "y": roi.y, "width": roi.width, "height": roi.height },
        "confidence": face.confidence,
        "landmarks": face.landmarks.map(|landmarks| landmarks.0),
    })
}

fn pictures_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut pictures = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    pictures.sort();
    Ok(pictures)
}
