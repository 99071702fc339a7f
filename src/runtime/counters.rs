//! Counts of received, dropped and failed images since a camera was started.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that several threads share.
#[derive(Debug, Default)]
pub struct Counters {
    received: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
    rate_limited: AtomicU64,
    failed_images: AtomicU64,
    failed_answers: AtomicU64,
}

impl Counters {
    /// Counts received images. `dropped` of them were replaced by newer ones before they were processed.
    pub fn add_received(&self, received: u64, dropped: u64) {
        self.received.fetch_add(received, Ordering::Relaxed);
        self.dropped.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Sets how many images were lost on the way to this process so far.
    pub fn set_lost(&self, images: u64) {
        self.lost.store(images, Ordering::Relaxed);
    }

    /// Counts an image that was dropped because more of them came than are wanted.
    pub fn add_rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an image that was skipped because of a fault.
    pub fn add_failed_image(&self) {
        self.failed_images.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts answers that are missing although the image was processed.
    pub fn add_failed_answers(&self, answers: u64) {
        self.failed_answers.fetch_add(answers, Ordering::Relaxed);
    }

    /// Received images.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Images that were replaced by newer ones before they were processed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Images that were lost on the way to this process, as their stamps show.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Images that were dropped because more of them came than are wanted.
    pub fn rate_limited(&self) -> u64 {
        self.rate_limited.load(Ordering::Relaxed)
    }

    /// Images that were skipped because of a fault.
    pub fn failed_images(&self) -> u64 {
        self.failed_images.load(Ordering::Relaxed)
    }

    /// Answers that are missing although their image was processed.
    pub fn failed_answers(&self) -> u64 {
        self.failed_answers.load(Ordering::Relaxed)
    }
}
