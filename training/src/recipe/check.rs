//! Refuses recipes with invalid values, and names the field.

use std::ops::RangeInclusive;

use anyhow::ensure;
use face_attributes::network::MAX_INPUT_SIDE_PX;
use face_attributes_tools::dataset::Format;
use face_attributes_tools::occlusion::mask::FaceLayout;

use super::{Augmentation, Balance, CameraRecipe, Distillation, Figure, Recipe, Schedule};

impl Recipe {
    /// Checks that each value is in its range, and that the values are consistent.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let counts = [
            ("side_px", self.side_px, MAX_INPUT_SIDE_PX),
            ("epochs", self.epochs, 1_000_000),
            ("batch_size", self.batch_size, 1_000_000),
        ];
        for (name, value, largest) in counts {
            ensure!((1..=largest).contains(&value), "{name} is {value}, expected 1 to {largest}");
        }
        in_range("learning_rate", self.learning_rate, 1e-9..=1.0)?;
        in_range("label_smoothing", self.label_smoothing, 0.0..=0.9)?;
        in_range("average_decay", self.average_decay.unwrap_or(0.0), 0.0..=0.999_999)?;
        for (name, factor) in self.l2_penalty.iter().flatten() {
            in_range(&format!("l2_penalty.{name}"), *factor, 0.0..=1000.0)?;
        }
        ensure!(
            self.initial_weights.is_some() || !self.revive_dead_filters,
            "revive_dead_filters is set, but there are no initial_weights"
        );
        self.check_data()?;
        self.augmentation.check()?;
        self.distillation.as_ref().map_or(Ok(()), Distillation::check)?;
        self.check_schedule()?;
        self.check_choice()
    }

    fn check_data(&self) -> anyhow::Result<()> {
        in_range("data.validation_fraction", self.data.validation_fraction.fraction(), 0.0..=0.9)?;
        in_range("data.validation_margin", self.data.validation_margin, 0.0..=10.0)?;
        let needs_races = self.data.balance == Balance::RacesAndClasses;
        let has_races = self.data.format == Format::Utkface;
        ensure!(has_races || !needs_races, "data.balance asks for races, but only the format utkface tells them");
        let has_layout = FaceLayout::of(self.data.format).is_some();
        let needs_layout = self.augmentation.glasses > 0.0;
        ensure!(
            has_layout || !needs_layout,
            "augmentation.glasses: where the eyes are is not known for this data.format"
        );
        Ok(())
    }

    fn check_schedule(&self) -> anyhow::Result<()> {
        match self.schedule {
            Schedule::Constant => Ok(()),
            Schedule::ReduceOnPlateau { factor, .. } => in_range("schedule.factor", factor, 0.0..=1.0),
            Schedule::Cosine { warmup_epochs } => {
                in_range("schedule.warmup_epochs", warmup_epochs, 0.0..=self.epochs as f64)
            }
        }
    }

    /// Where the last epoch's network is the model, nothing may depend on the best epoch.
    fn check_choice(&self) -> anyhow::Result<()> {
        if self.choose_by != Figure::Last {
            return Ok(());
        }
        let on_plateau = matches!(self.schedule, Schedule::ReduceOnPlateau { .. });
        ensure!(!on_plateau, "schedule is reduce_on_plateau, but with choose_by: last no epoch is worse than another");
        ensure!(
            self.early_stopping_patience.is_none(),
            "early_stopping_patience has to be null, as with choose_by: last none stops early"
        );
        Ok(())
    }
}

impl Augmentation {
    fn check(&self) -> anyhow::Result<()> {
        let ([least_margin, margin], [least_sharpness, sharpness]) = (self.margin, self.sharpness);
        in_range("augmentation.margin", margin, 0.0..=10.0)?;
        in_range("augmentation.margin", least_margin, 0.0..=margin)?;
        in_range("augmentation.rotation_degrees", self.rotation_degrees, 0.0..=180.0)?;
        in_range("augmentation.shift", self.shift, 0.0..=1.0)?;
        in_range("augmentation.zoom", self.zoom, 0.0..=0.9)?;
        in_range("augmentation.brightness", self.brightness, 0.0..=1.0)?;
        in_range("augmentation.contrast", self.contrast, 0.0..=1.0)?;
        in_range("augmentation.glasses", self.glasses, 0.0..=1.0)?;
        in_range("augmentation.sharpness", sharpness, -1.0..=10.0)?;
        in_range("augmentation.sharpness", least_sharpness, -1.0..=sharpness)?;
        self.camera.as_ref().map_or(Ok(()), CameraRecipe::check)
    }
}

impl CameraRecipe {
    fn check(&self) -> anyhow::Result<()> {
        let fields = [
            ("share", self.share, 1.0),
            ("blur", self.blur, 0.2),
            ("noise", self.noise, 1.0),
            ("compression", self.compression, 1.0),
            ("low_light", self.low_light, 1.0),
            ("back_light", self.back_light, 1.0),
            ("smallest_face_px", f64::from(self.smallest_face_px), f64::from(MAX_INPUT_SIDE_PX as u32)),
            ("box_offset", self.box_offset, 0.5),
            ("turn_degrees", self.turn_degrees, 60.0),
        ];
        fields.into_iter().try_for_each(|(name, value, largest)| {
            in_range(&format!("augmentation.camera.{name}"), value, 0.0..=largest)
        })
    }
}

impl Distillation {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.teachers.is_empty(), "distillation.teachers is empty");
        in_range("distillation.views", f64::from(self.views), 1.0..=1000.0)?;
        in_range("distillation.weight", self.weight, 0.0..=1.0)?;
        in_range("distillation.temperature", self.temperature, 0.1..=100.0)
    }
}

fn in_range(name: &str, value: f64, range: RangeInclusive<f64>) -> anyhow::Result<()> {
    ensure!(range.contains(&value), "{name} is {value}, expected {} to {}", range.start(), range.end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        let message = |yaml: &str| format!("{:#}", Recipe::parse(yaml).unwrap_err());
        assert!(message("architecture: mini_xception").contains("missing field `task`"));
        assert!(message("task: emotion\nlearning_rat: 1").contains("unknown field `learning_rat`"));
        assert!(message("task: emotion\naugmentation: {zom: 1}").contains("unknown field `zom`"));
        let too_smooth = message("task: emotion\nlabel_smoothing: 1");
        assert_eq!(too_smooth, "label_smoothing is 1, expected 0 to 0.9");
        let margins = message("task: gender\naugmentation: {margin: [0.5, 0.2]}");
        assert_eq!(margins, "augmentation.margin is 0.5, expected 0 to 0.2");
        let sharpness = |range: &str| message(&format!("task: emotion\naugmentation: {{sharpness: {range}}}"));
        assert_eq!(sharpness("[0, 20]"), "augmentation.sharpness is 20, expected -1 to 10");
        assert_eq!(sharpness("[0, .nan]"), "augmentation.sharpness is NaN, expected -1 to 10");
        assert_eq!(sharpness("[0.7, 0.1]"), "augmentation.sharpness is 0.7, expected -1 to 0.1");
        assert_eq!(message("task: emotion\naugmentation: {glasses: 2}"), "augmentation.glasses is 2, expected 0 to 1");
        let camera = |fields: &str| message(&format!("task: emotion\naugmentation: {{camera: {{{fields}}}}}"));
        assert_eq!(camera("box_offset: 0.6"), "augmentation.camera.box_offset is 0.6, expected 0 to 0.5");
        assert_eq!(camera("noise: -0.1"), "augmentation.camera.noise is -0.1, expected 0 to 1");
        assert!(camera("fog: 1").contains("unknown field `fog`"));
        let unknown = message("task: gender\ndata: {format: imdb-wiki}\naugmentation: {glasses: 0.5}");
        assert!(unknown.starts_with("augmentation.glasses: where the eyes are"), "{unknown}");
        assert!(message("task: emotion\nbatch_size: 0").starts_with("batch_size is 0"));
        assert_eq!(message("task: emotion\nside_px: 2000"), "side_px is 2000, expected 1 to 1024");
        assert_eq!(message("task: emotion\nl2_penalty: {conv_1: -1}"), "l2_penalty.conv_1 is -1, expected 0 to 1000");
        assert!(message("task: emotion\nchoose_by: last").starts_with("schedule is reduce_on_plateau"));
        let patient = message("task: emotion\nchoose_by: last\nschedule: constant");
        assert!(patient.starts_with("early_stopping_patience has to be null"), "{patient}");
        let races = message("task: emotion\ndata: {balance: races_and_classes}");
        assert_eq!(races, "data.balance asks for races, but only the format utkface tells them");
    }
}
