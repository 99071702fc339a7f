//! When the whole frame is searched, and over how many frames the search is spread.
//!
//! All times are those of the frames, so that the same frames give the same faces on every machine.

use std::mem;
use std::time::Duration;

use opencv::core::{CV_8UC1, Mat, Size, absdiff, count_non_zero, mean_def};
use opencv::imgproc::{self, INTER_AREA, resize};
use opencv::prelude::*;

/// Longest time in seconds over which a search is spread. A new face must be reported within half a second.
const SEARCH_SECS: f64 = 0.15;
/// Largest number of frames over which a search is spread. At 30 Hz, these fit into [`SEARCH_SECS`].
const MAX_PARTS: u32 = 5;
/// Frames that are at least so far apart, in seconds, are searched at once: the next one comes too late.
const PAUSE_SECS: f64 = 0.5;
/// Where a face is missed or the scene has changed, the next search comes after this fraction of the usual interval.
const URGENT: f64 = 0.5;
/// The size at which two frames are compared, in pixels.
const SCENE: (i32, i32) = (32, 24);
/// A pixel has changed if it differs by more than this, beside the change of the mean brightness.
const CHANGED_GREY_LEVELS: f64 = 20.0;
/// Share of the pixels that change from one frame to the next when the scene does. A camera that moves changes fewer.
const CHANGED_SHARE: f64 = 0.25;

/// What to do about the whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// Look at it coarsely now, because it is the first one. A search follows in the next frame.
    Glance,
    /// Begin to search it, in so many parts, one per frame. One part is all of it at once.
    Search { parts: u32 },
}

/// Decides when to search.
#[derive(Debug, Default)]
pub struct Schedule {
    last_frame: Option<Duration>,
    last_search: Option<Duration>,
    scenes: Scenes,
    is_cut: bool,
    is_urgent: bool,
}

impl Schedule {
    /// What is due in the frame at `time`, if `rate` searches per second are wanted. To be called once per frame. `gray` is
    /// height x width, 8-bit, one channel. Where `is_nobody_known`, another scene is searched sooner. Otherwise a cut loses the
    /// known faces, and whoever knows of that calls [`Schedule::hurry`].
    ///
    /// # Errors
    /// Only those of OpenCV.
    pub fn next(&mut self, gray: &Mat, time: Duration, rate: f64, is_nobody_known: bool) -> opencv::Result<Due> {
        self.is_cut = self.scenes.have_changed(gray)?;
        self.is_urgent |= is_nobody_known && self.is_cut;
        let since = |earlier: Option<Duration>| earlier.and_then(|earlier| time.checked_sub(earlier));
        let step = since(self.last_frame.replace(time)).map(|step| step.as_secs_f64());
        let Some(step) = step else {
            self.last_search = None;
            return Ok(Due::Glance);
        };
        if let Some(searched) = since(self.last_search) {
            let interval = if self.is_urgent { URGENT / rate } else { 1.0 / rate };
            // The frame that is nearest to the time.
            if searched.as_secs_f64() + step / 2.0 < interval {
                return Ok(Due::Nothing);
            }
        }
        (self.last_search, self.is_urgent) = (Some(time), false);
        let parts = (SEARCH_SECS / step.max(1e-3)).ceil().clamp(1.0, f64::from(MAX_PARTS));
        Ok(Due::Search { parts: if step < PAUSE_SECS { parts as u32 } else { 1 } })
    }

    /// Whether the last frame shows another scene than the one before it.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Asks for a search soon, because a face is missed.
    pub fn hurry(&mut self) {
        self.is_urgent = true;
    }
}

/// Small copies of this frame and of the one before, with the mean brightness taken out. All pictures are kept for their memory.
#[derive(Debug, Default)]
struct Scenes {
    now: Mat,
    /// Empty before the second frame.
    before: Mat,
    small: Mat,
    difference: Mat,
    changed: Mat,
}

impl Scenes {
    /// Whether the frame shows another scene than the one before it.
    fn have_changed(&mut self, gray: &Mat) -> opencv::Result<bool> {
        let Self { now, before, small, difference, changed } = self;
        mem::swap(now, before);
        resize(gray, small, Size::new(SCENE.0, SCENE.1), 0.0, 0.0, INTER_AREA)?;
        let offset = 128.0 - mean_def(small)?[0];
        small.convert_to(now, CV_8UC1, 1.0, offset)?;
        if before.empty() {
            return Ok(false);
        }
        absdiff(before, now, difference)?;
        imgproc::threshold(difference, changed, CHANGED_GREY_LEVELS, 255.0, imgproc::THRESH_BINARY)?;
        Ok(f64::from(count_non_zero(changed)?) > CHANGED_SHARE * f64::from(SCENE.0 * SCENE.1))
    }
}

#[cfg(test)]
impl Schedule {
    /// Where the pictures are in memory.
    pub fn addresses(&self) -> [*const u8; 5] {
        let Scenes { now, before, small, difference, changed } = &self.scenes;
        [now, before, small, difference, changed].map(|mat| mat.data())
    }
}

#[cfg(test)]
mod tests {
    use opencv::core::{Rect, Scalar};

    use super::*;

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

    /// What is due in the frames `numbers` of a camera at `rate_hz`.
    fn dues(
        schedule: &mut Schedule,
        rate_hz: f64,
        numbers: std::ops::Range<u32>,
        scene: impl Fn(u32) -> Mat,
    ) -> Vec<Due> {
        numbers.map(|n| schedule.next(&scene(n), secs(f64::from(n) / rate_hz), 3.0, true).unwrap()).collect()
    }

    /// The numbers of the frames in which something is due.
    fn searched(first: u32, dues: &[Due]) -> Vec<u32> {
        (first..).zip(dues).filter(|(_, due)| **due != Due::Nothing).map(|(n, _)| n).collect()
    }

    #[test]
    fn a_glance_comes_first_and_then_searches_in_parts_at_the_rate() {
        for (rate_hz, parts, frames_between) in [(60.0, 5, 20), (30.0, 5, 10), (15.0, 3, 5), (10.0, 2, 3), (3.0, 1, 1)]
        {
            let dues = dues(&mut Schedule::default(), rate_hz, 0..41, |_| scene(20, 60.0));
            assert_eq!(dues[0], Due::Glance);
            for (n, due) in dues.iter().enumerate().skip(1) {
                let is_due = n % frames_between == 1 % frames_between;
                let expected = if is_due { Due::Search { parts } } else { Due::Nothing };
                assert_eq!(*due, expected, "frame {n} at {rate_hz} Hz");
            }
        }
    }

    #[test]
    fn a_missed_face_and_another_scene_halve_the_time() {
        for missed in [true, false] {
            let mut schedule = Schedule::default();
            dues(&mut schedule, 30.0, 0..3, |_| scene(20, 60.0));
            if missed {
                schedule.hurry();
            }
            let width = if missed { 20 } else { 70 };
            let dues = dues(&mut schedule, 30.0, 3..13, |_| scene(width, 60.0));
            assert_eq!(searched(3, &dues)[0], 6, "missed: {missed}");
        }
    }

    #[test]
    fn a_cut_is_seen_in_its_first_frame() {
        let mut schedule = Schedule::default();
        let cuts = [20, 20, 70, 70].map(|width| {
            schedule.next(&scene(width, 60.0), secs(0.0), 3.0, false).unwrap();
            schedule.is_cut()
        });
        assert_eq!(cuts, [false, false, true, false]);
    }

    #[test]
    fn another_brightness_and_a_camera_that_moves_are_the_same_scene() {
        for darkening in [true, false] {
            let show =
                |n: u32| if darkening { scene(0, 60.0 + 12.0 * f64::from(n)) } else { scene(20 + 3 * n as i32, 60.0) };
            let dues = dues(&mut Schedule::default(), 30.0, 0..11, show);
            assert_eq!(searched(0, &dues), [0, 1], "{darkening}");
        }
    }

    #[test]
    fn after_a_pause_the_frame_is_searched_at_once_and_where_time_goes_back_there_is_a_glance() {
        let mut schedule = Schedule::default();
        dues(&mut schedule, 30.0, 0..8, |_| scene(20, 60.0));
        assert_eq!(schedule.next(&scene(20, 60.0), secs(1.0), 3.0, true).unwrap(), Due::Search { parts: 1 });
        assert_eq!(schedule.next(&scene(20, 60.0), secs(0.2), 3.0, true).unwrap(), Due::Glance);
    }
}
