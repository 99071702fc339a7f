//! `/humans/faces/...`: the faces as REP-155 has them, for libhri and pyhri.

mod face_topics;
mod tracked;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use anyhow::Context as _;
use face_attributes::attributes::FaceAttributes;
use face_attributes::faces::FaceId;
use face_attributes::parameters::Parameters;
use opencv::core::Mat;
use r2r::Node;
use r2r::std_msgs::msg::Header;

use super::{Observation, Output, SharedOutputs};
use crate::input::frame_of;
use crate::spinner::NodeThread;
use face_topics::{FaceTopics, Picture};
pub use tracked::Tracked;

type Created = (FaceId, r2r::Result<FaceTopics>);

/// Publishes the ids of all faces, and topics for each face, while somebody listens to the ids.
pub struct HumansOutput {
    tracked: Arc<Tracked>,
    /// Names the camera among those that share `tracked`.
    camera: String,
    id_prefix: String,
    node_thread: NodeThread,
    faces: HashMap<FaceId, Face>,
    /// Topics that the spinning thread has created: the inference thread does not wait for it.
    created: Receiver<Created>,
    sender: Sender<Created>,
}

struct Face {
    /// `None` until they are created.
    topics: Option<FaceTopics>,
    /// In time of the frames.
    last_reported: Duration,
}

impl HumansOutput {
    /// For the camera whose topics begin with `camera`.
    pub fn new(camera: &str, shared: &SharedOutputs) -> Self {
        let (sender, created) = channel();
        Self {
            tracked: Arc::clone(&shared.tracked),
            camera: camera.to_owned(),
            id_prefix: shared.id_prefix.clone(),
            node_thread: shared.node_thread.clone(),
            faces: HashMap::new(),
            created,
            sender,
        }
    }

    /// The id as it is unique among all nodes.
    fn name(&self, id: FaceId) -> String {
        format!("{}{id}", self.id_prefix)
    }

    /// Has topics created for a face that is new.
    fn report(&mut self, id: FaceId, time: Duration) {
        if let Some(face) = self.faces.get_mut(&id) {
            face.last_reported = time;
            return;
        }
        self.faces.insert(id, Face { topics: None, last_reported: time });
        let (name, sender) = (self.name(id), self.sender.clone());
        self.node_thread.post(move |node| {
            let topics = FaceTopics::create(node, &name);
            // The output may have ended meanwhile; then its topics end here.
            if let Err(unsent) = sender.send((id, topics))
                && let (_, Ok(topics)) = unsent.0
            {
                topics.destroy(node);
            }
        });
    }

    /// Takes the topics that were created meanwhile.
    fn take_created(&mut self) -> anyhow::Result<()> {
        for (id, topics) in self.created.try_iter().collect::<Vec<_>>() {
            let topics = topics.with_context(|| format!("cannot create the topics of {}", self.name(id)))?;
            match self.faces.get_mut(&id) {
                Some(face) => face.topics = Some(topics),
                None => self.node_thread.post(|node| topics.destroy(node)),
            }
        }
        Ok(())
    }

    /// Ends the topics of the faces that `is_kept` does not keep.
    fn retain(&mut self, mut is_kept: impl FnMut(&Face) -> bool) {
        for (_, face) in self.faces.extract_if(|_, face| !is_kept(face)) {
            if let Some(topics) = face.topics {
                self.node_thread.post(|node| topics.destroy(node));
            }
        }
    }

    /// Ends the topics of all faces, also of those for which they are being created.
    fn end_all(&mut self) {
        self.retain(|_| false);
        let (sender, created) = channel();
        self.sender = sender;
        let last = std::mem::replace(&mut self.created, created);
        // Behind all that was asked for before.
        self.node_thread.post(move |node| {
            last.try_iter().filter_map(|(_, topics)| topics.ok()).for_each(|topics| topics.destroy(node))
        });
    }

    fn publish_face(
        &self,
        observation: &Observation,
        face: &FaceAttributes,
        picture: &mut Option<Mat>,
    ) -> anyhow::Result<()> {
        let Some(Face { topics: Some(topics), .. }) = self.faces.get(&face.id) else { return Ok(()) };
        let frame = frame_of(&observation.received.image)?;
        let header = &observation.received.image.header;
        topics.publish_facts(header, face, (frame.width(), frame.height()), &observation.parameters.outputs)?;
        if topics.is_crop_wanted()? {
            let bgr = match picture {
                Some(bgr) => bgr,
                None => picture.insert(frame.to_bgr()?),
            };
            topics.publish_crop(header, face, Picture(bgr))?;
        }
        Ok(())
    }
}

impl Output for HumansOutput {
    fn topic(&self) -> &'static str {
        "/humans/faces"
    }

    fn is_wanted(&self, parameters: &Parameters) -> r2r::Result<bool> {
        Ok(parameters.outputs.humans && self.tracked.has_listeners()?)
    }

    fn publish(&mut self, observation: &Observation) -> anyhow::Result<()> {
        let Observation { received, scene, parameters, .. } = observation;
        scene.faces.iter().for_each(|face| self.report(face.id, scene.time));
        // A face that is missed for longer gets a new id.
        let max_age = parameters.pipeline.faces.tracking.max_age();
        let time = scene.time;
        self.retain(|face| face.last_reported <= time && time - face.last_reported <= max_age);
        let created = self.take_created();
        let ids = scene.faces.iter().map(|face| self.name(face.id)).collect();
        self.tracked.publish(&self.camera, &received.image.header, ids, max_age)?;
        let mut picture = None;
        for face in &scene.faces {
            self.publish_face(observation, face, &mut picture)?;
        }
        created
    }

    /// Also where it is switched off while somebody listens.
    fn rest(&mut self, header: &Header) -> anyhow::Result<()> {
        if self.faces.is_empty() {
            return Ok(());
        }
        self.end_all();
        self.publish_nobody(header)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        self.end_all();
        Ok(())
    }

    fn publish_nobody(&mut self, header: &Header) -> anyhow::Result<()> {
        Ok(self.tracked.publish(&self.camera, header, Vec::new(), Duration::ZERO)?)
    }

    fn close(self: Box<Self>, node: &mut Node) {
        let Self { tracked, faces, created, .. } = *self;
        faces.into_values().filter_map(|face| face.topics).for_each(|topics| topics.destroy(node));
        created.try_iter().filter_map(|(_, topics)| topics.ok()).for_each(|topics| topics.destroy(node));
        // The last camera ends what all share.
        if let Some(tracked) = Arc::into_inner(tracked) {
            tracked.destroy(node);
        }
    }
}
