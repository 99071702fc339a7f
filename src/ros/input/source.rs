//! The images of one camera: from its subscriptions to the thread that processes them.
//!
//! The thread `ros_spin` takes the images as they come, so that no other thread wakes for an image that nobody wants.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use face_attributes::parameters::{ImageParameters, Transport};
use face_attributes::runtime::{Counters, LossEstimator, Mailbox, Pace, RateLimit, Throttle};
use r2r::Node;
use r2r::builtin_interfaces::msg::Time;

use super::advice::{Advice, image_topics};
use super::camera_image::{CameraImage, Received};
use super::frame_clock::FrameClock;
use super::handover::Handover;
use super::offers::{Offer, is_reliable, offers, reliability_name};
use super::subscription::{Kind, Subscription};
use super::view::{InputView, Recently};

/// Time between two looks at the publishers while they come and go, and later.
const QUICK_LOOK: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(1);
/// How long publishers that have changed are looked at more often.
const RESTLESS: Duration = Duration::from_secs(5);

/// Images per second that are handed on while nobody wants them: so many looks are taken at who listens.
const IDLE_RATE_HZ: f64 = 10.0;

/// Over how many looks [`Recently`] goes.
const RECENT_LOOKS: usize = 5;

/// Where the images of a camera that works come from and go to.
pub struct Intake {
    /// Full name of the topic of the images.
    pub image: String,
    /// Full name of the topic of the compressed images.
    pub compressed: String,
    /// Takes the images.
    pub images: Arc<Mailbox<Received>>,
    /// Whether somebody wanted the last image that was taken.
    pub is_wanted: Arc<AtomicBool>,
}

/// The images of one camera. It outlives the camera, so that subscriptions that have not ended yet are taken back.
pub struct ImageSource {
    counters: Arc<Counters>,
    state: Mutex<State>,
}

struct State {
    subscriptions: Handover<Kind, Subscription>,
    loss: LossEstimator,
    advice: Advice,
    failures: Throttle,
    work: Option<Work>,
}

/// What a source has while it works.
struct Work {
    intake: Intake,
    clock: FrameClock,
    limit: RateLimit,
    idle_pace: Pace,
    started: Instant,
    sequence: u64,
    last_stamp: Option<Time>,
    last_arrival: Instant,
    description: String,
    settings: ImageParameters,
    offers: Vec<Offer>,
    offers_changed: Instant,
    looked: Option<Instant>,
    /// The counts at the last looks, for what happened recently.
    counts: VecDeque<(Instant, Recently)>,
}

impl ImageSource {
    /// A source that does not work yet. It counts its images in `counters`.
    pub fn new(counters: Arc<Counters>) -> Self {
        let state = State {
            subscriptions: Handover::default(),
            loss: LossEstimator::default(),
            advice: Advice::default(),
            failures: Throttle::default(),
            work: None,
        };
        Self { counters, state: Mutex::new(state) }
    }

    /// Subscribes.
    ///
    /// # Errors
    /// Where the topic cannot be subscribed to.
    pub fn start(&self, node: &mut Node, intake: Intake, settings: &ImageParameters, now: Instant) -> r2r::Result<()> {
        let mut state = self.lock();
        // A pause is no loss.
        state.loss.add(Duration::ZERO);
        let mut work = Work::new(intake, settings.clone(), now);
        work.look(&mut state.subscriptions, node, now)?;
        state.work = Some(work);
        Ok(())
    }

    /// Takes no more images. r2r ends the subscription with the next image that arrives for it.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.subscriptions.end();
        state.work = None;
    }

    /// Whether somebody wants the images; `None` while it does not work.
    pub fn is_wanted(&self) -> Option<bool> {
        self.lock().work.as_ref().map(|work| work.intake.is_wanted.load(Ordering::Relaxed))
    }

    /// Hands on the images that have come, and follows the publishers and the parameters. `on_image` is told the stamp of each image.
    /// Where the thread was resting, not all images were taken, and those that are missing are not lost.
    pub fn turn(
        &self,
        node: &mut Node,
        settings: &ImageParameters,
        was_resting: bool,
        now: Instant,
        on_image: &mut dyn FnMut(&Time),
    ) {
        let mut state = self.lock();
        let State { subscriptions, loss, work, failures, .. } = &mut *state;
        let last = work.as_ref().and_then(|work| work.last_stamp.clone());
        let images = subscriptions.images(Subscription::next, |image| image.header.stamp.clone(), last);
        let Some(work) = work else { return };
        for image in images {
            if was_resting {
                loss.add(Duration::ZERO);
            }
            on_image(&image.header.stamp);
            work.take(image, loss, &self.counters, now);
        }
        if work.is_look_due(settings, now) {
            work.settings.clone_from(settings);
            if let Err(error) = work.look(subscriptions, node, now)
                && let Some(count) = failures.count(&error.to_string(), now)
            {
                log::warn!("cannot follow the publishers of {}, {count} times so far: {error}", work.intake.image);
            }
        }
    }

    /// What is known of the input, and the log of what is wrong with it; to be called once per second. `None` while it does not work.
    pub fn watch(&self, node: &Node, now: Instant) -> Option<InputView> {
        let mut state = self.lock();
        let (period, lossy_gaps) = (state.loss.period(), state.loss.lossy_gaps());
        let subscribed = state.subscriptions.current().cloned();
        let State { work, advice, .. } = &mut *state;
        let view = work.as_mut()?.view(subscribed, period, lossy_gaps, &self.counters, now);
        let warnings = advice.warnings(&view, || image_topics(node), now);
        // Logging publishes: not while the lock is held.
        drop(state);
        warnings.iter().for_each(|warning| log::warn!("{warning}"));
        Some(view)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What a panic leaves behind is valid: each image is taken as a whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work {
    fn new(intake: Intake, settings: ImageParameters, now: Instant) -> Self {
        Self {
            intake,
            clock: FrameClock::default(),
            limit: RateLimit::default(),
            idle_pace: Pace::default(),
            started: now,
            sequence: 0,
            last_stamp: None,
            last_arrival: now,
            description: String::new(),
            settings,
            offers: Vec::new(),
            offers_changed: now,
            looked: None,
            counts: VecDeque::new(),
        }
    }

    /// Counts an image and hands it on.
    fn take(&mut self, image: CameraImage, loss: &mut LossEstimator, counters: &Counters, now: Instant) {
        self.sequence += 1;
        self.last_arrival = now;
        let stamp = &image.header.stamp;
        let time = u64::try_from(stamp.sec).map_or(Duration::ZERO, |secs| Duration::new(secs, stamp.nanosec));
        // The stamps of several cameras have no common period: nothing is known of what is lost.
        loss.add(if self.offers.len() > 1 { Duration::ZERO } else { time });
        counters.set_lost(loss.lost());
        let time = self.clock.time(stamp, now.duration_since(self.started));
        self.last_stamp = Some(stamp.clone());
        let mut replaced = 0;
        if !self.limit.admits(self.settings.max_rate_hz, time) {
            counters.add_rate_limited();
        } else if self.intake.is_wanted.load(Ordering::Relaxed) || self.idle_pace.is_due(IDLE_RATE_HZ, now) {
            self.description = image.description();
            let received = Received { sequence: self.sequence, time, image };
            replaced = u64::from(self.intake.images.put(received).is_some());
        }
        counters.add_received(1, replaced);
    }

    fn is_look_due(&self, settings: &ImageParameters, now: Instant) -> bool {
        let is_restless = self.offers.is_empty() || now.duration_since(self.offers_changed) < RESTLESS;
        let pause = if is_restless { QUICK_LOOK } else { LOOK };
        *settings != self.settings || self.looked.is_none_or(|looked| now.duration_since(looked) >= pause)
    }

    /// Looks at the publishers, and subscribes to what suits them.
    fn look(
        &mut self,
        subscriptions: &mut Handover<Kind, Subscription>,
        node: &mut Node,
        now: Instant,
    ) -> r2r::Result<()> {
        self.looked = Some(now);
        let transport = self.settings.transport;
        let topic = match transport {
            Transport::Raw => self.intake.image.clone(),
            Transport::Compressed => self.intake.compressed.clone(),
        };
        let offers = offers(node, &topic)?;
        if offers != self.offers {
            self.offers_changed = now;
            self.offers = offers;
        }
        let kind = Kind { topic, transport, is_reliable: is_reliable(self.settings.reliability, &self.offers) };
        if subscriptions.current() != Some(&kind) {
            let offers: Vec<_> =
                self.offers.iter().map(|offer| format!("{} {}", offer.node, offer.reliability())).collect();
            let asked = reliability_name(kind.is_reliable);
            log::debug!("subscribing to {} ({asked}), which is offered by: {}", kind.topic, offers.join(", "));
            subscriptions.subscribe(kind, |kind| Subscription::create(node, kind))?;
        }
        Ok(())
    }

    fn view(
        &mut self,
        subscribed: Option<Kind>,
        period: Option<Duration>,
        lossy_gaps: u64,
        counters: &Counters,
        now: Instant,
    ) -> InputView {
        let total = Recently {
            duration: Duration::ZERO,
            received: counters.received(),
            lost: counters.lost(),
            lossy_gaps,
            failed: counters.failed_images(),
        };
        self.counts.push_back((now, total));
        if self.counts.len() > RECENT_LOOKS + 1 {
            self.counts.pop_front();
        }
        let (since, before) = self.counts.front().copied().unwrap_or((now, total));
        let recently = Recently {
            duration: now.duration_since(since),
            received: total.received - before.received,
            // Images that seemed lost may turn out to be a slower rhythm of the camera.
            // Another publisher that was just found makes the gaps of the last look meaningless.
            lost: if self.offers.len() > 1 { 0 } else { total.lost.saturating_sub(before.lost) },
            lossy_gaps: total.lossy_gaps - before.lossy_gaps,
            failed: total.failed - before.failed,
        };
        InputView {
            subscribed,
            offers: self.offers.clone(),
            silent_for: now.duration_since(self.last_arrival),
            period,
            description: self.description.clone(),
            recently,
        }
    }
}
