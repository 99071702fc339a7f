//! Services on r2r that no client can end: one that goes away before it is answered costs only its own answer.

use futures::{Stream, StreamExt};
use r2r::{Node, QosProfile, ServiceRequest, WrappedServiceTypeSupport};
use tokio::task::AbortHandle;

/// A service at work.
pub struct Service {
    task: AbortHandle,
}

impl Service {
    /// Answers no more requests.
    pub fn stop(self) {
        self.task.abort();
    }
}

/// Requests of a service that its owner answers by itself.
pub type Requests<S> = Box<dyn Stream<Item = ServiceRequest<S>> + Unpin + Send>;

/// Answers the requests of the service `~/name` in the background. To be called within tokio's runtime.
///
/// # Errors
/// Where the service cannot be created.
pub fn serve<S: WrappedServiceTypeSupport + 'static>(
    node: &mut Node,
    name: &str,
    qos: QosProfile,
    answer: impl Fn(&S::Request) -> S::Response + Send + 'static,
) -> r2r::Result<Service>
where
    S::Request: Send,
{
    let requests = requests::<S>(node, name, qos)?;
    Ok(Service { task: tokio::spawn(respond_to_all(name.to_owned(), requests, answer)).abort_handle() })
}

/// The requests of the service `~/name`.
///
/// # Errors
/// Where the service cannot be created.
pub fn requests<S: WrappedServiceTypeSupport + 'static>(
    node: &mut Node,
    name: &str,
    qos: QosProfile,
) -> r2r::Result<Requests<S>>
where
    S::Request: Send,
{
    Ok(Box::new(node.create_service::<S>(&format!("~/{name}"), qos)?))
}

/// Answers one request.
pub fn respond<S: WrappedServiceTypeSupport + 'static>(name: &str, request: ServiceRequest<S>, response: S::Response) {
    if let Err(error) = request.respond(response) {
        log::debug!("{name}: a client did not wait for its answer ({error})");
    }
}

async fn respond_to_all<S: WrappedServiceTypeSupport + 'static>(
    name: String,
    mut requests: Requests<S>,
    answer: impl Fn(&S::Request) -> S::Response,
) {
    while let Some(request) = requests.next().await {
        let response = answer(&request.message);
        respond(&name, request, response);
    }
}
