//! The present frame as it is searched: whole, or in a window about a face.

use opencv::boxed_ref::BoxedRef;
use opencv::core::Mat;

use super::cascades::Cascades;
use super::{BoundingBox, Detection, FinderParameters, SearchError, SearchNetwork};
use crate::frame::Frame;

/// The present frame, and how it is searched.
pub struct Searched<'a> {
    /// In grey.
    pub gray: &'a Mat,
    /// Blue, green, red, where the network searches.
    pub bgr: Option<&'a BoxedRef<'a, Mat>>,
    /// How it is searched.
    pub parameters: &'a FinderParameters,
}

/// Lets `look` see the frame as it is searched. `buffer` is for what has to be converted.
pub fn look_at<T>(
    frame: &Frame,
    gray: &Mat,
    parameters: &FinderParameters,
    buffer: &mut Mat,
    look: impl FnOnce(&Searched) -> Result<T, SearchError>,
) -> Result<T, SearchError> {
    if parameters.search.rate > 0.0 {
        frame.with_bgr(buffer, |bgr| look(&Searched { gray, bgr: Some(bgr), parameters }))
    } else {
        look(&Searched { gray, bgr: None, parameters })
    }
}

/// Adds to `found` the faces in the window about a place with this margin.
pub fn add_those_about(
    network: &mut SearchNetwork,
    cascades: &mut Cascades,
    frame: &Searched,
    (place, margin): (BoundingBox, f64),
    min_confidence: f64,
    found: &mut Vec<Detection>,
) -> Result<(), SearchError> {
    let window = place.square_with_margin(margin);
    match frame.bgr {
        Some(bgr) => network.add_those_in(bgr, window, min_confidence as f32, found)?,
        None => found.extend(cascades.detect_about(frame.gray, place, window)?),
    }
    Ok(())
}
