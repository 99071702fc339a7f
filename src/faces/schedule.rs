//! When the whole frame is searched, and over how many frames the search is spread.
//!
//! All times are those of the frames, so that the same frames give the same faces on every machine.

use std::time::Duration;

use opencv::core::{CV_8UC1, Mat, Size, absdiff, count_non_zero, mean_def};
use opencv::imgproc::{self, INTER_AREA, resize};
use opencv::prelude::*;

/// A search takes about so long from its first frame to its last one, in seconds: as many frames as that takes,
const SEARCH_SECS: f64 = 0.15;
/// but not more than these. More would not make the work of one frame much smaller.
const MAX_PARTS: u32 = 4;
/// After a pause as long as this, in seconds, the frame is searched at once, as the first one is.
const PAUSE_SECS: f64 = 0.5;
/// Part of the usual time between two searches after which there is another one, where a face was lost or the scene changed.
const URGENT: f64 = 0.5;
/// The size at which two scenes are compared, in pixels.
const SCENE: (i32, i32) = (32, 24);
/// A pixel has changed if it differs by more than this, beside the change of the mean brightness.
const CHANGED_GREY_LEVELS: f64 = 20.0;
/// Share of the pixels that change when the scene does.
const CHANGED_SHARE: f64 = 0.1;

/// What to do about the whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Begin to search it, in so many parts, one per frame. One part is all of it at once.
    Search { parts: u32 },
}

/// Decides when to search.
#[derive(Debug, Default)]
pub struct Schedule {
    last_frame: Option<Duration>,
    last_search: Option<Duration>,
    /// The frame of the last search.
    scene: Option<Mat>,
    is_urgent: bool,
}

impl Schedule {
    /// What is due in the frame at `time`, if `rate` searches per second are wanted. To be called once per frame. `gray` is height x
    /// width, 8-bit, one channel.
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn next(&mut self, gray: &Mat, time: Duration, rate: f64) -> opencv::Result<Due> {
        let since = |earlier: Option<Duration>| earlier.and_then(|earlier| time.checked_sub(earlier));
        let step = since(self.last_frame).map(|step| step.as_secs_f64()).filter(|step| *step < PAUSE_SECS);
        self.last_frame = Some(time);
        let Some((step, searched)) = step.zip(since(self.last_search)) else {
            return self.begin(gray, time, 1);
        };
        let scene = scene_of(gray)?;
        self.is_urgent |= self.scene.as_ref().map(|before| has_changed(before, &scene)).transpose()?.unwrap_or(true);
        let interval = if self.is_urgent { URGENT / rate } else { 1.0 / rate };
        // The frame that is nearest to the time.
        if searched.as_secs_f64() + step / 2.0 < interval {
            return Ok(Due::Nothing);
        }
        let parts = (SEARCH_SECS / step.max(1e-3)).ceil().clamp(1.0, f64::from(MAX_PARTS));
        self.begin(gray, time, parts as u32)
    }

    /// Asks for a search soon, because a face was lost.
    pub fn hurry(&mut self) {
        self.is_urgent = true;
    }

    fn begin(&mut self, gray: &Mat, time: Duration, parts: u32) -> opencv::Result<Due> {
        (self.last_search, self.scene, self.is_urgent) = (Some(time), Some(scene_of(gray)?), false);
        Ok(Due::Search { parts })
    }
}

/// A small copy, with the mean brightness taken out.
fn scene_of(gray: &Mat) -> opencv::Result<Mat> {
    let (mut small, mut level) = (Mat::default(), Mat::default());
    resize(gray, &mut small, Size::new(SCENE.0, SCENE.1), 0.0, 0.0, INTER_AREA)?;
    let offset = 128.0 - mean_def(&small)?[0];
    small.convert_to(&mut level, CV_8UC1, 1.0, offset)?;
    Ok(level)
}

fn has_changed(before: &Mat, now: &Mat) -> opencv::Result<bool> {
    let (mut difference, mut changed) = (Mat::default(), Mat::default());
    absdiff(before, now, &mut difference)?;
    imgproc::threshold(&difference, &mut changed, CHANGED_GREY_LEVELS, 255.0, imgproc::THRESH_BINARY)?;
    Ok(f64::from(count_non_zero(&changed)?) > CHANGED_SHARE * f64::from(SCENE.0 * SCENE.1))
}

#[cfg(test)]
mod tests {
    use opencv::core::{Rect, Scalar};

    use super::*;

    const NOW: Due = Due::Search { parts: 1 };

    /// A scene with a rectangle of `width` of its 120 columns.
    fn scene(width: i32, brightness: f64) -> Mat {
        let mut gray = Mat::new_rows_cols_with_default(90, 120, CV_8UC1, Scalar::all(brightness)).unwrap();
        if width > 0 {
            let place = Rect::new(7, 3, width, 80);
            imgproc::rectangle(&mut gray, place, Scalar::all(200.0), imgproc::FILLED, imgproc::LINE_8, 0).unwrap();
        }
        gray
    }

    fn secs(secs: f64) -> Duration {
        Duration::from_secs_f64(secs)
    }

    /// What is due in each of `count` frames of one scene.
    fn dues(schedule: &mut Schedule, rate_hz: f64, count: u32) -> Vec<Due> {
        (0..count).map(|n| schedule.next(&scene(20, 60.0), secs(f64::from(n) / rate_hz), 3.0).unwrap()).collect()
    }

    #[test]
    fn the_first_frame_is_searched_at_once_and_later_ones_in_parts_at_the_rate() {
        for (rate_hz, parts, frames_between) in [(60.0, 4, 20), (30.0, 4, 10), (15.0, 3, 5), (10.0, 2, 3), (3.0, 1, 1)]
        {
            let dues = dues(&mut Schedule::default(), rate_hz, 41);
            assert_eq!(dues[0], NOW);
            for (n, due) in dues.iter().enumerate().skip(1) {
                let expected = if n % frames_between == 0 { Due::Search { parts } } else { Due::Nothing };
                assert_eq!(*due, expected, "frame {n} at {rate_hz} Hz");
            }
        }
    }

    #[test]
    fn a_lost_face_and_another_scene_halve_the_time() {
        for lost in [true, false] {
            let mut schedule = Schedule::default();
            dues(&mut schedule, 30.0, 2);
            if lost {
                schedule.hurry();
            }
            let width = if lost { 20 } else { 60 };
            let next: Vec<_> =
                (2..12).map(|n| schedule.next(&scene(width, 60.0), secs(f64::from(n) / 30.0), 3.0).unwrap()).collect();
            let searches: Vec<_> =
                (2..12).zip(&next).filter(|(_, due)| **due != Due::Nothing).map(|(n, _)| n).collect();
            assert_eq!(searches, [5], "lost: {lost}");
        }
    }

    #[test]
    fn another_brightness_is_the_same_scene() {
        let mut schedule = Schedule::default();
        schedule.next(&scene(0, 60.0), secs(0.0), 3.0).unwrap();
        for n in 1..10 {
            let due = schedule.next(&scene(0, 60.0 + 12.0 * f64::from(n)), secs(f64::from(n) / 30.0), 3.0).unwrap();
            assert_eq!(due, Due::Nothing, "frame {n}");
        }
    }

    #[test]
    fn after_a_pause_and_where_time_goes_back_the_frame_is_searched_at_once() {
        let mut schedule = Schedule::default();
        dues(&mut schedule, 30.0, 8);
        assert_eq!(schedule.next(&scene(20, 60.0), secs(1.0), 3.0).unwrap(), NOW);
        assert_eq!(schedule.next(&scene(20, 60.0), secs(0.2), 3.0).unwrap(), NOW);
    }
}
