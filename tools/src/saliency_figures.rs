//! Figures of saliency: how much of it lies on eyes, brows and mouth, and how stable it is within a class.
//!
//! A map is the magnitude of the saliency of each pixel, scaled to [`MAP_PX`] x [`MAP_PX`], so that networks with inputs of different
//! sizes are compared at one resolution. The regions are rectangles at the places of the mean face ([`FaceLayout`]), the same that
//! `occlude` hides: for any one face they are rough.

use opencv::core::{Mat, Rect2d, Size};
use opencv::imgproc::{INTER_AREA, INTER_LINEAR, resize};
use opencv::prelude::*;
use serde::Serialize;

use crate::mean_picture::MeanPicture;
use crate::occlusion::figures::Mean;
use crate::occlusion::mask::{FaceLayout, Mask, Occlusion};

/// Side of a map: that of FER-2013's pictures.
pub const MAP_PX: i32 = 48;

/// The magnitude of each pixel, row by row.
pub type Map = Vec<f32>;

/// The map of the saliency `values` of a picture of the size `size`.
///
/// # Errors
/// Only those of OpenCV.
pub fn map_of(values: &[f32], size: Size) -> opencv::Result<Map> {
    let magnitudes: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    let map = Mat::new_rows_cols_with_data(size.height, size.width, &magnitudes)?;
    let interpolation = if size.width > MAP_PX { INTER_AREA } else { INTER_LINEAR };
    let mut scaled = Mat::default();
    resize(&map, &mut scaled, Size::new(MAP_PX, MAP_PX), 0.0, 0.0, interpolation)?;
    Ok(scaled.data_typed::<f32>()?.to_vec())
}

/// The places of eyes, brows and mouth in a map: how much of each pixel belongs to each, 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Regions([Vec<f32>; 3]);

impl Regions {
    /// Their names, in the order of all lists of regions here.
    pub const NAMES: [&'static str; 3] = ["eyes", "brows", "mouth"];

    /// The regions where faces of a layout fill the box `face` in maps, in pixels of the map.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn new(layout: FaceLayout, face: Rect2d) -> opencv::Result<Self> {
        let size = Size::new(MAP_PX, MAP_PX);
        let region = |part| Mask::new(part, layout, size, face).map(Mask::into_opacity);
        Ok(Self([region(Occlusion::Eyes)?, region(Occlusion::Brows)?, region(Occlusion::Mouth)?]))
    }

    /// The share of a map in each region; `None` where the map is 0 everywhere.
    fn shares(&self, map: &Map) -> Option<[f64; 3]> {
        let sum: f64 = map.iter().map(|value| f64::from(*value)).sum();
        let inside = |region: &Vec<f32>| {
            region.iter().zip(map).map(|(opacity, value)| f64::from(*opacity) * f64::from(*value)).sum::<f64>()
        };
        (sum > 0.0).then(|| [0, 1, 2].map(|region| inside(&self.0[region]) / sum))
    }

    /// The share of the picture's area in each region: what a map without preference has.
    pub fn areas(&self) -> [f64; 3] {
        self.shares(&vec![1.0; (MAP_PX * MAP_PX) as usize]).unwrap_or_default()
    }
}

/// Figures of a network's maps of one class. Shares are 0 to 1, correlations -1 to 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SaliencyFigures {
    /// The class.
    pub class: &'static str,
    /// Number of maps that are not 0 everywhere.
    pub count: u64,
    /// Share of the saliency on each region, in the order of [`Regions::NAMES`].
    pub regions: [Mean; 3],
    /// Share of the saliency on all regions.
    pub on_features: Mean,
    /// Correlation of a map with the mean of the other maps of the class.
    pub stability: Mean,
    /// Correlation of a map with the mean map of the other classes. Where it is as large as the stability, the network looks at
    /// the same places whatever the class.
    pub with_other_classes: Mean,
}

/// The figures of the maps of each class.
pub fn figures(maps: &[(&'static str, Vec<Map>)], regions: &Regions) -> Vec<SaliencyFigures> {
    let has_saliency = |map: &&Map| map.iter().any(|value| *value > 0.0);
    let maps: Vec<(_, Vec<&Map>)> =
        maps.iter().map(|(class, maps)| (*class, maps.iter().filter(has_saliency).collect())).collect();
    let means: Vec<MeanPicture> = maps.iter().map(|(_, maps)| mean_of(maps)).collect();
    let of_class = |(position, (class, maps)): (usize, &(&'static str, Vec<&Map>))| {
        let shares: Vec<_> = maps.iter().filter_map(|map| regions.shares(map)).collect();
        let others = means.iter().enumerate().filter(|(other, mean)| *other != position && mean.count() > 0);
        let mut mean_of_others = MeanPicture::default();
        others.for_each(|(_, mean)| mean_of_others.add(mean.mean().into_iter()));
        let stability: Vec<_> =
            maps.iter().filter_map(|map| correlation(map, &without(&means[position], map))).collect();
        let with_others: Vec<_> = maps.iter().filter_map(|map| correlation(map, &mean_of_others.mean())).collect();
        SaliencyFigures {
            class,
            count: maps.len() as u64,
            regions: [0, 1, 2].map(|region| Mean::of(shares.iter().map(|shares| shares[region]))),
            on_features: Mean::of(shares.iter().map(|shares| shares.iter().sum())),
            stability: Mean::of(stability.iter().copied()),
            with_other_classes: Mean::of(with_others.iter().copied()),
        }
    };
    maps.iter().enumerate().map(of_class).collect()
}

fn mean_of(maps: &[&Map]) -> MeanPicture {
    let mut mean = MeanPicture::default();
    maps.iter().for_each(|map| mean.add(map.iter().copied()));
    mean
}

/// The sum of the other maps of a mean, which correlates as their mean does; empty where there are none.
fn without(mean: &MeanPicture, map: &Map) -> Map {
    let count = mean.count() as f32;
    if count < 2.0 {
        return Vec::new();
    }
    mean.mean().into_iter().zip(map).map(|(mean, value)| count * mean - value).collect()
}

/// Pearson's correlation; `None` where one is constant or empty.
fn correlation(a: &[f32], b: &[f32]) -> Option<f64> {
    let centred = |values: &[f32]| {
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len().max(1) as f64;
        values.iter().map(|value| f64::from(*value) - mean).collect::<Vec<_>>()
    };
    let (a, b) = (centred(a), centred(b));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: FaceLayout = FaceLayout { eye_distance: 0.4, eyes_y: 0.35, mouth_y: 0.75 };

    fn regions() -> Regions {
        Regions::new(LAYOUT, Rect2d::new(0.0, 0.0, f64::from(MAP_PX), f64::from(MAP_PX))).unwrap()
    }

    /// A map with these points: column, row, value.
    fn map(points: &[(i32, i32, f32)]) -> Map {
        let mut map = vec![0.0; (MAP_PX * MAP_PX) as usize];
        for (x, y, value) in points {
            map[(y * MAP_PX + x) as usize] = *value;
        }
        map
    }

    fn near(got: Mean, expected: f64) {
        assert!((got.mean.unwrap() - expected).abs() < 1e-6, "{got:?}, expected {expected}");
    }

    // The eyes are in row 16.8, the mouth in row 36, and an eye distance is 19.2 pixels: the eyes' band is rows 13.9 to 20.6, that
    // of the brows 7.2 to 13.9, and that of the mouth 31.8 to 40.2.
    #[test]
    fn saliency_counts_for_the_region_that_it_lies_on() {
        let of_happy = vec![
            map(&[(24, 36, 6.0), (24, 10, 2.0), (15, 17, 1.0), (2, 47, 1.0)]),
            map(&[(20, 36, 1.0), (24, 45, 1.0)]),
            map(&[]),
        ];
        let figures = &figures(&[("happy", of_happy)], &regions())[0];
        assert_eq!((figures.class, figures.count), ("happy", 2));
        near(figures.regions[0], (0.1 + 0.0) / 2.0);
        near(figures.regions[1], (0.2 + 0.0) / 2.0);
        near(figures.regions[2], (0.6 + 0.5) / 2.0);
        near(figures.on_features, (0.9 + 0.5) / 2.0);
    }

    // Bands of 1.8 eye distances for eyes and brows and 1.2 for the mouth, 0.35 and 0.44 high; an eye distance is 0.4.
    #[test]
    fn a_map_without_preference_has_the_areas() {
        let expected = [1.8 * 0.35 * 0.16, 1.8 * 0.35 * 0.16, 1.2 * 0.44 * 0.16];
        for (area, expected) in regions().areas().into_iter().zip(expected) {
            assert!((area - expected).abs() < 0.003, "{area}, expected {expected}");
        }
    }

    #[test]
    fn the_same_map_is_stable_and_another_one_is_not() {
        let (mouth, eyes) = (map(&[(24, 36, 5.0), (22, 36, 3.0)]), map(&[(15, 17, 4.0)]));
        let scaled: Map = mouth.iter().map(|value| 2.0 * value).collect();
        let same =
            figures(&[("happy", vec![mouth.clone(), scaled, mouth.clone()]), ("sad", vec![eyes.clone()])], &regions());
        near(same[0].stability, 1.0);
        assert!(same[0].with_other_classes.mean.unwrap() < 0.0);
        // A single map has no others.
        assert_eq!(same[1].stability.mean, None);
        let mixed = figures(&[("happy", vec![mouth.clone(), eyes, mouth])], &regions());
        assert!(mixed[0].stability.mean.unwrap() < 0.7, "{mixed:?}");
        assert_eq!(mixed[0].with_other_classes.mean, None);
    }

    #[test]
    fn maps_are_magnitudes_of_one_size() {
        let size = Size::new(96, 96);
        let mut values = vec![0.0; 96 * 96];
        // Of a block of four pixels, one has -8.
        values[20 * 96 + 10] = -8.0;
        let map = map_of(&values, size).unwrap();
        assert_eq!((map.len(), map[10 * 48 + 5]), (48 * 48, 2.0));
        assert_eq!(map.iter().sum::<f32>(), 2.0);
        assert_eq!(map_of(&vec![-1.0; 24 * 24], Size::new(24, 24)).unwrap(), vec![1.0; 48 * 48]);
    }
}
