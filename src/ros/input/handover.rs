//! From one subscription to the next, without an image that is processed twice and without subscriptions that pile up.

/// The subscriptions of one camera. `K` says what a subscription is to, `S` is the subscription.
///
/// r2r ends a subscription that was dropped at its next image, and never where none comes. So one that is not wanted any more is kept
/// until an image comes, and taken back where it is wanted again: of each kind there is one at the most.
pub struct Handover<K, S> {
    current: Option<(K, S)>,
    /// Delivers until the current one does.
    previous: Option<(K, S)>,
    ending: Vec<(K, S)>,
}

impl<K, S> Default for Handover<K, S> {
    fn default() -> Self {
        Self { current: None, previous: None, ending: Vec::new() }
    }
}

impl<K: PartialEq, S> Handover<K, S> {
    /// What is subscribed to.
    pub fn current(&self) -> Option<&K> {
        self.current.as_ref().map(|(kind, _)| kind)
    }

    /// Subscribes to something else, unless it is what is subscribed to. The old subscription delivers until the new one does.
    ///
    /// # Errors
    /// Those of `create`. Then nothing is changed.
    pub fn subscribe<E>(&mut self, kind: K, create: impl FnOnce(&K) -> Result<S, E>) -> Result<(), E> {
        if self.current() == Some(&kind) {
            return Ok(());
        }
        let new = match self.take_back(&kind) {
            Some(old) => old,
            None => create(&kind)?,
        };
        let previous = std::mem::replace(&mut self.previous, self.current.replace((kind, new)));
        self.ending.extend(previous);
        Ok(())
    }

    /// Delivers nothing from now on.
    pub fn end(&mut self) {
        self.ending.extend(self.current.take());
        self.ending.extend(self.previous.take());
    }

    /// The images that have come. `next` takes one from a subscription. `last` is the stamp of the last image that was delivered: one
    /// that comes from both subscriptions is delivered once.
    pub fn images<T, M: PartialEq>(
        &mut self,
        mut next: impl FnMut(&mut S) -> Option<T>,
        stamp: impl Fn(&T) -> M,
        mut last: Option<M>,
    ) -> Vec<T> {
        self.ending.retain_mut(|(_, subscription)| next(subscription).is_none());
        let mut images = Vec::new();
        while let Some(image) = self.previous.as_mut().and_then(|(_, previous)| next(previous)) {
            last = Some(stamp(&image));
            images.push(image);
        }
        while let Some(image) = self.current.as_mut().and_then(|(_, current)| next(current)) {
            let is_first = self.previous.is_some();
            self.ending.extend(self.previous.take());
            if !(is_first && last.as_ref() == Some(&stamp(&image))) {
                images.push(image);
            }
        }
        images
    }

    fn take_back(&mut self, kind: &K) -> Option<S> {
        if self.previous.as_ref().is_some_and(|(previous, _)| previous == kind) {
            return self.previous.take().map(|(_, subscription)| subscription);
        }
        let index = self.ending.iter().position(|(ending, _)| ending == kind)?;
        Some(self.ending.swap_remove(index).1)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::VecDeque;

    use super::*;

    /// Images of a subscription, by their stamps.
    type Stamps = VecDeque<u32>;

    fn create(_: &&str) -> Result<Stamps, ()> {
        Ok(Stamps::new())
    }

    fn taken(handover: &mut Handover<&'static str, Stamps>, last: Option<u32>) -> Vec<u32> {
        handover.images(Stamps::pop_front, |stamp| *stamp, last)
    }

    fn arrive(subscription: &mut Option<(&'static str, Stamps)>, stamp: u32) {
        subscription.as_mut().unwrap().1.push_back(stamp);
    }

    #[test]
    fn the_old_subscription_delivers_until_the_new_one_does_and_no_image_comes_twice() {
        let mut handover = Handover::default();
        handover.subscribe("best effort", create).unwrap();
        arrive(&mut handover.current, 1);
        assert_eq!(taken(&mut handover, None), [1]);
        handover.subscribe("reliable", create).unwrap();
        arrive(&mut handover.previous, 2);
        assert_eq!(taken(&mut handover, Some(1)), [2]);
        arrive(&mut handover.previous, 3);
        arrive(&mut handover.current, 3);
        assert_eq!(taken(&mut handover, Some(2)), [3]);
        assert!(handover.previous.is_none() && handover.ending.len() == 1);
        arrive(&mut handover.current, 4);
        handover.ending[0].1.push_back(4);
        assert_eq!(taken(&mut handover, Some(3)), [4]);
        assert!(handover.ending.is_empty());
        // A camera whose stamp stands still is heard all the same.
        arrive(&mut handover.current, 4);
        assert_eq!(taken(&mut handover, Some(4)), [4]);
    }

    #[test]
    fn of_each_kind_there_is_one_at_the_most_however_often_it_is_subscribed_to() {
        let created = Cell::new(0);
        let mut handover = Handover::default();
        for _ in 0..50 {
            for kind in ["best effort", "reliable", "best effort"] {
                handover
                    .subscribe(kind, |kind| {
                        created.set(created.get() + 1);
                        create(kind)
                    })
                    .unwrap();
            }
            handover.end();
            assert_eq!(taken(&mut handover, None), [0; 0]);
        }
        assert_eq!((created.get(), handover.ending.len()), (2, 2));
        // With the next image, they end.
        handover.ending.iter_mut().for_each(|(_, images)| images.push_back(7));
        assert_eq!(taken(&mut handover, None), [0; 0]);
        assert!(handover.ending.is_empty() && handover.current().is_none());
    }

    #[test]
    fn what_cannot_be_subscribed_to_changes_nothing() {
        let mut handover = Handover::default();
        handover.subscribe("raw", create).unwrap();
        assert_eq!(handover.subscribe("compressed", |_| Err("no memory")), Err("no memory"));
        assert_eq!(handover.current(), Some(&"raw"));
    }
}
