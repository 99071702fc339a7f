//! The calibration that a camera publishes beside its images, as `sensor_msgs/CameraInfo`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use face_attributes::view::{Calibration, CalibrationError, CameraModel, Region};
use futures::{Stream, StreamExt};
use r2r::QosProfile;
use r2r::sensor_msgs::msg::CameraInfo;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::spinner::Spinner;

/// Calibrations that are kept: a camera may change its resolution and come back to it.
const KEPT: usize = 4;
/// A camera that has published nothing for so long is taken for one that publishes none.
const SILENT: Duration = Duration::from_secs(2);

type Messages = Box<dyn Stream<Item = CameraInfo> + Send + Unpin>;

/// What a camera has published of its calibration. Clones share it.
#[derive(Clone, Default)]
pub struct Calibrations(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// The newest last.
    calibrations: Vec<Published>,
    /// A subscription from an earlier life of the camera. r2r ends one only with its next message: where none comes, each life
    /// would leave one behind.
    unused: Option<(String, Messages)>,
    /// What was said of a calibration that does not fit the images.
    said: Option<String>,
}

struct Published {
    frame_id: String,
    calibration: Calibration,
    model: Option<Arc<CameraModel>>,
}

impl Calibrations {
    /// The model of the camera of an image with this frame and size; `None` where the camera has published none that fits.
    pub fn model(&self, frame_id: &str, width: usize, height: usize) -> Option<Arc<CameraModel>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |published: &&Published| {
            let is_of_frame = [&published.frame_id[..], frame_id].contains(&"") || published.frame_id == frame_id;
            is_of_frame && published.model.as_ref().is_some_and(|model| model.fits(width, height))
        };
        let found = known.calibrations.iter().rev().find(fits).and_then(|published| published.model.clone());
        let newest = known.calibrations.last().filter(|_| found.is_none());
        if let Some(Published { frame_id: other, model: Some(model), .. }) = newest {
            let (other_width, other_height) = model.image_size();
            let what = format!(
                "the camera_info is for images of {other_width}x{other_height} in '{other}', and the images are \
                 {width}x{height} in '{frame_id}': no directions"
            );
            known.say(what);
        }
        found
    }

    /// Takes a message of the camera, which mostly repeats the one before.
    fn take(&self, message: CameraInfo) {
        let frame_id = message.header.frame_id.clone();
        let calibration = calibration(message);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_same_images = |published: &Published| {
            published.frame_id == frame_id && published.calibration.is_of_same_images(&calibration)
        };
        if let Some(position) = known.calibrations.iter().position(is_of_same_images) {
            let published = known.calibrations.remove(position);
            if published.calibration == calibration {
                known.calibrations.push(published);
                return;
            }
        }
        let model = match CameraModel::new(&calibration) {
            Ok(model) => {
                let (width, height) = model.image_size();
                log::info!("directions of faces by the camera_info of '{frame_id}', {width}x{height}");
                Some(Arc::new(model))
            }
            // Most cameras are not calibrated, and say so.
            Err(error @ CalibrationError::Uncalibrated) => {
                log::info!("camera_info of '{frame_id}': {error}: no directions");
                None
            }
            Err(error) => {
                log::warn!("camera_info of '{frame_id}': {error}: no directions");
                None
            }
        };
        known.calibrations.push(Published { frame_id, calibration, model });
        if known.calibrations.len() > KEPT {
            known.calibrations.remove(0);
        }
    }

    /// Subscribes to the topic, or goes on with the subscription of an earlier life. To be called within tokio's runtime.
    ///
    /// # Errors
    /// Where the topic cannot be subscribed to.
    pub async fn listen(&self, topic: &str, spinner: &Spinner) -> anyhow::Result<Listening> {
        let unused = self.0.lock().unwrap_or_else(PoisonError::into_inner).unused.take();
        let messages = match unused {
            Some((of, messages)) if of == topic => messages,
            _ => {
                let topic = topic.to_owned();
                // QoS compatible with every camera. r2r's stream is Send.
                let subscribe = move |node: &mut r2r::Node| {
                    let messages = node.subscribe::<CameraInfo>(&topic, QosProfile::sensor_data())?;
                    r2r::Result::Ok(Box::new(messages) as Messages)
                };
                spinner.call(subscribe).await??
            }
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(self.clone().run(topic.to_owned(), messages, stopped));
        Ok(Listening { stop, task })
    }

    async fn run(self, topic: String, mut messages: Messages, mut stopped: oneshot::Receiver<()>) {
        let mut last = None;
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => {
                        last = Some(Instant::now());
                        self.take(message);
                    }
                    None => return,
                },
                _ = &mut stopped => break,
            }
        }
        if last.is_none_or(|last: Instant| last.elapsed() > SILENT) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).unused = Some((topic, messages));
        }
    }
}

impl Known {
    /// Says something once, until it is something else.
    fn say(&mut self, what: String) {
        if self.said.as_ref() != Some(&what) {
            log::warn!("{what}");
            self.said = Some(what);
        }
    }
}

/// A subscription at work.
pub struct Listening {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Listening {
    /// Ends it, or keeps it for the next life of the camera where the camera publishes nothing.
    pub async fn stop(self) {
        // The task may have ended with the node.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

fn calibration(message: CameraInfo) -> Calibration {
    let CameraInfo { width, height, distortion_model, d, k, binning_x, binning_y, roi, .. } = message;
    Calibration {
        width,
        height,
        distortion_model,
        d,
        // Nine numbers by the definition of the message.
        k: k.try_into().unwrap_or_default(),
        binning_x,
        binning_y,
        roi: Region { x: roi.x_offset, y: roi.y_offset, width: roi.width, height: roi.height },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(frame_id: &str, width: u32, focal_length: f64) -> CameraInfo {
        let mut message =
            CameraInfo { width, height: 480, distortion_model: "plumb_bob".to_owned(), ..Default::default() };
        message.header.frame_id = frame_id.to_owned();
        message.d = vec![-0.3, 0.1, 0.0, 0.0, 0.0];
        message.k = vec![focal_length, 0.0, 320.0, 0.0, focal_length, 240.0, 0.0, 0.0, 1.0];
        message
    }

    #[test]
    fn the_newest_calibration_that_fits_the_image_counts() {
        let calibrations = Calibrations::default();
        assert!(calibrations.model("optical", 640, 480).is_none());
        calibrations.take(message("optical", 640, 500.0));
        calibrations.take(message("optical", 800, 600.0));
        calibrations.take(message("other", 640, 700.0));
        let fits = |frame_id: &str, width| {
            let model = calibrations.model(frame_id, width, 480)?;
            Some((model.project([0.0, 0.1, 1.0])?.1 - 240.0).round())
        };
        assert_eq!(fits("optical", 640), Some(50.0));
        assert_eq!(fits("optical", 800), Some(60.0));
        assert_eq!(fits("other", 640), Some(70.0));
        // A camera that names no frame.
        assert_eq!(fits("", 640), Some(70.0));
        assert_eq!((fits("third", 640), fits("optical", 320)), (None, None));
        calibrations.take(message("optical", 640, 500.0));
        assert_eq!(fits("", 640), Some(50.0));
        calibrations.take(message("optical", 640, 900.0));
        assert_eq!(fits("optical", 640), Some(90.0));
    }

    #[test]
    fn a_camera_that_is_not_calibrated_any_more_gives_no_model() {
        let calibrations = Calibrations::default();
        calibrations.take(message("optical", 640, 500.0));
        assert!(calibrations.model("optical", 640, 480).is_some());
        calibrations.take(message("optical", 640, 0.0));
        assert!(calibrations.model("optical", 640, 480).is_none());
    }
}
