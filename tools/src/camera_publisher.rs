//! Publishes images like a camera driver: from a camera, a video file, or a moving picture, alone or with a video beside it.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Parser;
use face_attributes_tools::moving_picture::MovingPicture;
use face_attributes_tools::side_by_side::SideBySide;
use face_attributes_tools::source::{Source, read_bgr};
use opencv::core::{Mat, Size, Vector, set_num_threads};
use opencv::imgcodecs::{IMREAD_COLOR, imdecode};
use opencv::prelude::*;
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;
use r2r::{Clock, Node, QosProfile};
use tokio::signal::unix::{SignalKind, signal};

/// The default moving picture: NASA's portrait of Eileen Collins, public domain.
const PORTRAIT: &[u8] = include_bytes!("../../tests/data/astronaut.jpg");

/// The longest time between two looks for a subscriber.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Publish images on /camera/image_raw: from a camera, a video file, or a moving picture.
#[derive(Parser)]
struct Args {
    /// Number N of the camera, which is the device /dev/videoN.
    #[arg(long, value_name = "N", conflicts_with_all = ["video", "picture"])]
    camera: Option<u32>,
    /// Video file; the program ends with the video.
    #[arg(long, value_name = "FILE", conflicts_with = "picture")]
    video: Option<PathBuf>,
    /// Picture that is moved, instead of the built-in portrait.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Video file that is repeated in the right half of each frame; the moving picture is in the left half.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["camera", "video"])]
    beside: Option<PathBuf>,
    /// Images per second; a camera may give fewer.
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
    /// Width of a moving picture's frames in pixels.
    #[arg(long, default_value_t = 640, value_parser = clap::value_parser!(i32).range(1..=8192))]
    width: i32,
    /// Height of a moving picture's frames in pixels.
    #[arg(long, default_value_t = 480, value_parser = clap::value_parser!(i32).range(1..=8192))]
    height: i32,
    /// ROS arguments; ROS reads them.
    #[arg(last = false, hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
    ros_args: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!((0.1..=1000.0).contains(&args.rate), "--rate takes 0.1 to 1000, got {}", args.rate);
    let period = Duration::from_secs_f64(1.0 / args.rate);
    // A moving picture needs no second thread, and its threads would take time from the node that is tried with it.
    set_num_threads(1)?;
    let frames = open(&args)?;

    let mut node = Node::create(r2r::Context::create()?, "camera", "")?;
    let images = node.create_publisher::<Image>("/camera/image_raw", QosProfile::sensor_data())?;
    let clock = node.get_ros_clock();
    let stop = stop_signal()?;
    // A camera does not wait. But a subscriber should get a file from its beginning.
    while images.get_inter_process_subscription_count()? == 0 {
        if is_stopped(&stop, period.min(MAX_WAIT)) {
            return Ok(());
        }
    }
    let mut due = Instant::now();
    for frame in frames {
        let now = clock.lock().map_err(|_| anyhow::anyhow!("the clock failed"))?.get_now()?;
        images.publish(&image_of(&frame?, now)?)?;
        // A camera slower than the rate sets the pace itself.
        due = (due + period).max(Instant::now());
        if is_stopped(&stop, due.saturating_duration_since(Instant::now())) {
            break;
        }
    }
    Ok(())
}

/// Whether the program is to stop, or is within `wait`. The node has nothing to spin for, and r2r's `spin_once` of such a node does
/// not wait.
fn is_stopped(stop: &Receiver<()>, wait: Duration) -> bool {
    stop.recv_timeout(wait) != Err(RecvTimeoutError::Timeout)
}

/// Sends when SIGINT or SIGTERM comes. Only a process that exits normally frees the shared memory of its images.
fn stop_signal() -> anyhow::Result<Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _guard = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let (sender, stop) = channel();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        // Nobody waits any more where the file has ended.
        let _ = sender.send(());
    })?;
    Ok(stop)
}

fn open(args: &Args) -> anyhow::Result<Box<dyn Iterator<Item = anyhow::Result<Mat>>>> {
    let file = match args.camera {
        Some(number) => Some(PathBuf::from(format!("/dev/video{number}"))),
        None => args.video.clone(),
    };
    if let Some(file) = file {
        return Ok(Box::new(Source::open(&file)?.map(|picture| Ok(picture?.bgr))));
    }
    let picture = args.picture.as_deref().map_or_else(portrait, |file: &Path| Ok(read_bgr(file)?))?;
    let size = Size::new(args.width, args.height);
    if let Some(video) = &args.beside {
        ensure!(size.width > 1, "--beside needs a --width of at least 2");
        return Ok(Box::new(SideBySide::new(&picture, video, size)?.map(|frame| Ok(frame?))));
    }
    let frames = MovingPicture::new(picture, size);
    Ok(Box::new(frames.map(|frame| Ok(frame?))))
}

fn portrait() -> anyhow::Result<Mat> {
    imdecode(&Vector::<u8>::from_slice(PORTRAIT), IMREAD_COLOR).context("the built-in portrait does not decode")
}

fn image_of(bgr: &Mat, stamp: Duration) -> anyhow::Result<Image> {
    let (width, height) = (u32::try_from(bgr.cols())?, u32::try_from(bgr.rows())?);
    Ok(Image {
        header: Header { stamp: Clock::to_builtin_time(&stamp), frame_id: "camera_optical_frame".to_owned() },
        width,
        height,
        step: 3 * width,
        encoding: "bgr8".to_owned(),
        is_bigendian: 0,
        data: bgr.data_bytes()?.to_vec(),
    })
}
