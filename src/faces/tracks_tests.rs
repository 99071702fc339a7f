use super::*;

const MAX_AGE: Duration = Duration::from_millis(1500);
const IMAGE: BoundingBox = BoundingBox { x: 0, y: 0, width: 640, height: 480 };
const RATES_HZ: [f64; 4] = [10.0, 15.0, 30.0, 60.0];

fn at(x: i32, y: i32) -> BoundingBox {
    BoundingBox { x, y, width: 60, height: 60 }
}

fn sighting(roi: BoundingBox) -> Sighting {
    let landmarks = Some(Landmarks([(roi.x as f32, roi.y as f32); 5]));
    Sighting { detection: Detection { roi, confidence: 0.8, landmarks }, thumbnail: None }
}

fn tracker() -> Tracker {
    Tracker::new(FaceIds::of_camera(0))
}

/// The faces of the frame at `time` in which these boxes are detected.
fn update(tracker: &mut Tracker, boxes: &[BoundingBox], time: Duration) -> Vec<FoundFace> {
    tracker.begin_frame(time, MAX_AGE);
    let mut sightings: Vec<_> = boxes.iter().copied().map(sighting).collect();
    tracker.assign(&mut sightings);
    for new in sightings {
        tracker.begin(new);
    }
    tracker.faces(IMAGE)
}

/// The names of the seen faces, from left to right.
fn names(faces: &[FoundFace]) -> Vec<String> {
    faces.iter().filter(|face| face.seen).map(|face| face.id.to_string()).collect()
}

/// The time of frame `number` of a camera.
fn frame(number: u32, rate_hz: f64) -> Duration {
    Duration::from_secs_f64(f64::from(number) / rate_hz)
}

/// Follows the boxes that `detected` gives for each time in seconds, and returns the faces of each frame.
fn follow(rate_hz: f64, secs: f64, detected: impl Fn(f64) -> Vec<BoundingBox>) -> Vec<Vec<FoundFace>> {
    let mut tracker = tracker();
    let frames = 0..=(secs * rate_hz) as u32;
    frames.map(|n| update(&mut tracker, &detected(f64::from(n) / rate_hz), frame(n, rate_hz))).collect()
}

/// A detector's error of up to 3 % of a face, the same for the same time.
fn jitter(secs: f64) -> i32 {
    (2.0 * (secs * 977.0).sin()).round() as i32
}

#[test]
fn a_moving_face_keeps_its_id_also_when_the_order_changes() {
    let mut tracker = tracker();
    assert_eq!(names(&update(&mut tracker, &[at(0, 0), at(200, 90)], frame(0, 30.0))), ["face1", "face2"]);
    assert_eq!(names(&update(&mut tracker, &[at(190, 85), at(10, 5)], frame(1, 30.0))), ["face1", "face2"]);
    assert_eq!(names(&update(&mut tracker, &[at(20, 10), at(400, 300)], frame(2, 30.0))), ["face1", "face3"]);
}

#[test]
fn the_nearer_box_continues_the_face() {
    let mut tracker = tracker();
    update(&mut tracker, &[at(0, 0)], Duration::ZERO);
    assert_eq!(names(&update(&mut tracker, &[at(20, 0), at(3, 0)], frame(1, 30.0))), ["face1", "face2"]);
}

#[test]
fn an_id_outlives_missed_frames_for_the_same_time_at_every_frame_rate() {
    for rate_hz in [2.0, 30.0, 60.0] {
        let mut tracker = tracker();
        update(&mut tracker, &[at(0, 0)], Duration::ZERO);
        let last = (MAX_AGE.as_secs_f64() * rate_hz).floor() as u32;
        for number in 1..last {
            update(&mut tracker, &[], frame(number, rate_hz));
        }
        assert_eq!(names(&update(&mut tracker, &[at(0, 0)], frame(last, rate_hz))), ["face1"], "{rate_hz} Hz");
        for number in 1..=last {
            update(&mut tracker, &[], frame(last + number, rate_hz));
        }
        let late = update(&mut tracker, &[at(0, 0)], frame(2 * last + 1, rate_hz));
        assert_eq!(names(&late), ["face2"], "{rate_hz} Hz");
    }
}

#[test]
fn a_pause_or_a_jump_back_in_time_ends_all_tracks() {
    let mut tracker = tracker();
    update(&mut tracker, &[at(0, 0)], Duration::from_secs(10));
    let after_a_pause = update(&mut tracker, &[at(0, 0)], Duration::from_secs(3610));
    assert_eq!(names(&after_a_pause), ["face2"]);
    assert_eq!(names(&update(&mut tracker, &[at(0, 0)], Duration::from_secs(3609))), ["face3"]);
    assert_eq!(names(&update(&mut tracker, &[at(1, 0)], Duration::from_secs(3609))), ["face3"]);
}

#[test]
fn ids_of_two_cameras_differ_and_a_camera_that_starts_again_uses_none_twice() {
    let cameras = [0, 1].map(FaceIds::of_camera);
    let first_id = |ids: &FaceIds| update(&mut Tracker::new(ids.clone()), &[at(0, 0)], Duration::ZERO).remove(0);
    let [front, rear, front_again] = [&cameras[0], &cameras[1], &cameras[0]].map(first_id);
    assert_eq!(names(&[front, rear, front_again]), ["face1", "camera2_face1", "face2"]);
}

#[test]
fn a_missed_face_is_predicted_where_its_motion_leads_and_says_so() {
    for rate_hz in RATES_HZ {
        let detected = |secs: f64| {
            let face = at(100 + (80.0 * secs) as i32 + jitter(secs), 90);
            if (1.0..=1.3).contains(&secs) { vec![] } else { vec![face] }
        };
        for (n, faces) in follow(rate_hz, 2.0, detected).iter().enumerate() {
            let secs = n as f64 / rate_hz;
            let [face] = faces.as_slice() else { panic!("{} faces at {secs} s, {rate_hz} Hz", faces.len()) };
            assert_eq!(face.seen, !detected(secs).is_empty());
            assert_eq!((face.id.to_string().as_str(), face.followed_since), ("face1", Duration::ZERO));
            assert_eq!((face.confidence, face.landmarks.is_some()), (0.8, face.seen));
            // At rest it would be 32 pixels behind at the end.
            assert!((f64::from(face.roi.x) - 100.0 - 80.0 * secs).abs() < 20.0, "{face:?} at {secs} s, {rate_hz} Hz");
        }
    }
}

#[test]
fn a_face_of_a_single_frame_is_published_at_once_and_not_predicted() {
    let frames = follow(30.0, 0.5, |secs| if secs == 0.0 { vec![at(100, 90)] } else { vec![] });
    assert_eq!(frames[0].len(), 1);
    assert!(frames[1..].iter().all(Vec::is_empty));
}

#[test]
fn two_faces_that_cross_keep_their_ids() {
    for rate_hz in RATES_HZ {
        for speed in [120.0, 240.0, 400.0] {
            // Both at the same height or nearly so; while they cover each other, the one in front is detected alone.
            for offset in [0, 25] {
                let secs = 500.0 / speed;
                let frames = follow(rate_hz, secs, |time| {
                    let (right, left) = ((speed * time) as i32, 500 - (speed * time) as i32);
                    let front = at(20 + right + jitter(time), 100);
                    let behind = at(20 + left + jitter(time + 5.0), 100 + offset);
                    if front.iou(&behind) > 0.25 { vec![front] } else { vec![front, behind] }
                });
                assert_eq!(names(&frames[0]), ["face1", "face2"]);
                let last = frames.last().unwrap();
                assert_eq!(names(last), ["face2", "face1"], "{speed} px/s, {rate_hz} Hz, {offset} px below");
            }
        }
    }
}

#[test]
fn a_face_that_leaves_for_half_a_second_and_returns_keeps_its_id() {
    for rate_hz in RATES_HZ {
        // To the left edge, out, and back.
        let frames = follow(rate_hz, 3.0, |time| {
            let x = (300.0 * (time - 1.25).abs() - 75.0) as i32 + jitter(time);
            if x >= 0 { vec![at(x, 200)] } else { vec![] }
        });
        let mut ids: Vec<_> = frames.iter().flatten().map(|face| face.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{rate_hz} Hz");
        assert!(frames.iter().any(Vec::is_empty), "a face outside the image is shown");
    }
}

#[test]
fn a_face_that_is_covered_for_a_second_keeps_its_id_beside_another_one() {
    for rate_hz in RATES_HZ {
        let frames = follow(rate_hz, 3.0, |time| {
            let (covered, other) = (at(200 + (30.0 * time) as i32 + jitter(time), 120), at(320 + jitter(time), 100));
            if (1.0..2.0).contains(&time) { vec![other] } else { vec![covered, other] }
        });
        assert_eq!(names(frames.last().unwrap()), ["face1", "face2"], "{rate_hz} Hz");
        assert_eq!(frames.iter().flatten().map(|face| face.id).collect::<std::collections::HashSet<_>>().len(), 2);
    }
}

#[test]
fn a_covering_face_hides_the_prediction_of_the_one_behind() {
    let frames = follow(30.0, 2.0, |time| {
        let front = at((100.0 * time) as i32, 100);
        let behind = at(100, 100);
        if front.iou(&behind) > 0.1 { vec![front] } else { vec![front, behind] }
    });
    for faces in &frames {
        let overlap = faces.iter().flat_map(|a| faces.iter().map(move |b| (a, b))).filter(|(a, b)| a.id != b.id);
        assert!(overlap.map(|(a, b)| a.roi.iou(&b.roi)).all(|iou| iou <= COVERED_IOU));
    }
}

#[test]
fn the_same_sequence_gives_the_same_ids() {
    let run = || {
        follow(30.0, 2.0, |time| {
            let faces = [at((200.0 * time) as i32, 100), at(400 - (200.0 * time) as i32, 130), at(300, 300)];
            faces.into_iter().filter(|face| (face.x + jitter(time)) % 7 != 3).collect()
        })
    };
    assert_eq!(run(), run());
}

#[test]
fn a_part_of_a_seen_face_is_no_other_face() {
    let mut tracker = tracker();
    update(&mut tracker, &[at(60, 0)], Duration::ZERO);
    let part = BoundingBox { x: 62, y: 10, width: 30, height: 40 };
    assert!(tracker.is_seen_at(&part));
    assert!(!tracker.is_seen_at(&BoundingBox { x: 100, ..part }));
    // What was seen in an earlier frame does not count.
    update(&mut tracker, &[], frame(1, 30.0));
    assert!(!tracker.is_seen_at(&part));
}
