//! Services on r2r that lose no request and no answer, and that no client can end.
//!
//! **Requests.** r2r takes one request of each service in a turn of the spinning thread, and keeps ten of them at the most: the
//! others are dropped. So the requests are taken from it after each turn.
//!
//! **Answers.** A client keeps ten answers that it has not read, unless it asks for another QoS: an older one makes room for a
//! newer one. So the answers to many requests at once are sent at a pace at which they can be read.

mod pace;

use std::future::{Future, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use face_attributes::runtime::Throttle;
use futures::{FutureExt, Stream, StreamExt};
use r2r::{Node, QosProfile, ServiceRequest, WrappedServiceTypeSupport};
use tokio::sync::mpsc::{self, Receiver};
use tokio::time::sleep;

use pace::AnswerPace;

/// Requests of one service that may wait. With as many in its QoS, DDS drops none of a burst: rclcpp has this depth for the parameter
/// services, and ten for others.
pub const MAX_WAITING: usize = 1000;

/// Takes the requests of one service that have come, and counts them.
type Intake = Box<dyn FnMut() -> usize + Send>;

/// The services of a node, which end with it. Clones share them.
#[derive(Clone, Default)]
pub struct Services {
    intakes: Arc<Mutex<Vec<Intake>>>,
}

impl Services {
    /// Answers the requests of the service `~/name` in the background. To be called within tokio's runtime.
    ///
    /// # Errors
    /// Where the service cannot be created.
    pub fn serve<S>(
        &self,
        node: &mut Node,
        name: &str,
        qos: QosProfile,
        answer: impl Fn(&S::Request) -> S::Response + Send + 'static,
    ) -> r2r::Result<()>
    where
        S: WrappedServiceTypeSupport<Request: Send, Response: Send> + 'static,
    {
        self.serve_slowly::<S, _>(node, name, qos, move |request| ready(answer(&request)))
    }

    /// The same where an answer has to wait for something. The next request waits meanwhile.
    ///
    /// # Errors
    /// Where the service cannot be created.
    pub fn serve_slowly<S, Answer>(
        &self,
        node: &mut Node,
        name: &str,
        qos: QosProfile,
        mut answer: impl FnMut(S::Request) -> Answer + Send + 'static,
    ) -> r2r::Result<()>
    where
        S: WrappedServiceTypeSupport<Request: Send, Response: Send> + 'static,
        Answer: Future<Output = S::Response> + Send,
    {
        let mut requests = self.requests::<S>(node, name, qos)?;
        let name = name.to_owned();
        tokio::spawn(async move {
            while let Some(mut request) = requests.next().await {
                let response = answer(std::mem::take(&mut request.message)).await;
                respond(&name, request, response);
            }
        });
        Ok(())
    }

    /// The requests of the service `~/name`, which the caller answers.
    ///
    /// # Errors
    /// Where the service cannot be created.
    pub fn requests<S>(&self, node: &mut Node, name: &str, qos: QosProfile) -> r2r::Result<Requests<S>>
    where
        S: WrappedServiceTypeSupport<Request: Send> + 'static,
    {
        let requests = node.create_service::<S>(&format!("~/{name}"), qos)?;
        let (intake, receiver) = intake(name.to_owned(), requests);
        self.lock().push(intake);
        Ok(Requests { receiver, pace: AnswerPace::default() })
    }

    /// Takes the requests that have come, and returns how many. To be called after each turn of the thread that spins.
    pub fn take_requests(&self) -> usize {
        self.lock().iter_mut().map(|take| take()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Intake>> {
        self.intakes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests of a service that its owner answers by itself.
pub struct Requests<S: WrappedServiceTypeSupport> {
    receiver: Receiver<ServiceRequest<S>>,
    pace: AnswerPace,
}

impl<S: WrappedServiceTypeSupport> Requests<S> {
    /// Waits for the next request; `None` once the node has ended. Where the wait is given up, no request is lost.
    pub async fn next(&mut self) -> Option<ServiceRequest<S>> {
        let delay = self.pace.delay(Instant::now());
        // tokio's clock counts whole milliseconds: no delay at all would be one of them.
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let request = self.receiver.recv().await;
        self.pace.count(Instant::now(), self.receiver.len());
        request
    }
}

/// Answers one request. A client that does not wait for its answer is no fault.
pub fn respond<S: WrappedServiceTypeSupport + 'static>(name: &str, request: ServiceRequest<S>, response: S::Response) {
    if let Err(error) = request.respond(response) {
        log::debug!("{name}: a client did not wait for its answer ({error})");
    }
}

/// What moves the requests of a stream to where they wait.
fn intake<T: Send + 'static>(
    name: String,
    mut requests: impl Stream<Item = T> + Send + Unpin + 'static,
) -> (Intake, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let mut dropped = Throttle::default();
    let take = move || {
        let mut taken = 0;
        while let Some(Some(request)) = requests.next().now_or_never() {
            taken += 1;
            if sender.try_send(request).is_err()
                && let Some(count) = dropped.count(&name, Instant::now())
            {
                log::warn!("{name}: {MAX_WAITING} requests wait for their answers; {count} more were dropped so far");
            }
        }
        taken
    };
    (Box::new(take), receiver)
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[test]
    fn requests_wait_until_they_are_answered_and_those_beyond_the_limit_are_dropped() {
        let (mut take, mut receiver) = intake("test".to_owned(), stream::iter(0..MAX_WAITING + 5));
        assert_eq!(take(), MAX_WAITING + 5);
        assert_eq!(receiver.len(), MAX_WAITING);
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(0), Ok(1)));
    }

    #[test]
    fn nothing_is_taken_while_nothing_has_come() {
        let (mut take, receiver) = intake("test".to_owned(), stream::pending::<u8>());
        assert_eq!(take(), 0);
        assert!(receiver.is_empty());
    }
}
