//! `/humans/faces/<id>/...`: the topics of one face.

use face_attributes::attributes::{Emotion, Estimate, FaceAttributes, Gender};
use face_attributes::faces::BoundingBox;
use face_attributes::parameters::OutputParameters;
use opencv::core::{CV_8UC3, Mat, Rect, Scalar, Size};
use opencv::imgproc::{INTER_AREA, INTER_LINEAR, resize};
use opencv::prelude::*;
use r2r::hri_msgs::msg::{Expression, NormalizedRegionOfInterest2D, SoftBiometrics};
use r2r::sensor_msgs::msg::Image;
use r2r::std_msgs::msg::Header;
use r2r::{Node, Publisher, QosProfile};

use crate::output::has_listeners;
use crate::output::image::bgr_image;

/// The side of a cropped face in pixels, by REP-155.
const CROP_PX: i32 = 128;

/// An image of a camera: 8-bit, blue, green, red.
pub struct Picture<'a>(pub &'a Mat);

/// The publishers of one face, with the default QoS, as libhri subscribes.
pub struct FaceTopics {
    roi: Publisher<NormalizedRegionOfInterest2D>,
    cropped: Publisher<Image>,
    expression: Publisher<Expression>,
    softbiometrics: Publisher<SoftBiometrics>,
}

impl FaceTopics {
    /// Creates the topics of the face `id`.
    ///
    /// # Errors
    /// Where a topic cannot be created.
    pub fn create(node: &mut Node, id: &str) -> r2r::Result<Self> {
        let topic = |name: &str| format!("/humans/faces/{id}/{name}");
        let qos = QosProfile::default;
        Ok(Self {
            roi: node.create_publisher(&topic("roi"), qos())?,
            cropped: node.create_publisher(&topic("cropped"), qos())?,
            expression: node.create_publisher(&topic("expression"), qos())?,
            softbiometrics: node.create_publisher(&topic("softbiometrics"), qos())?,
        })
    }

    /// Publishes what is known of the face in an image of this size. What is unknown is not published.
    pub fn publish_facts(
        &self,
        header: &Header,
        face: &FaceAttributes,
        size: (usize, usize),
        parameters: &OutputParameters,
    ) -> r2r::Result<()> {
        self.roi.publish(&roi_message(header, face, size))?;
        if let Some(message) = face.emotion.as_ref().and_then(|estimate| expression_message(header, estimate)) {
            self.expression.publish(&message)?;
        }
        let gender = face.gender.as_ref().filter(|_| parameters.softbiometrics);
        if let Some(message) = gender.and_then(|estimate| softbiometrics_message(header, estimate)) {
            self.softbiometrics.publish(&message)?;
        }
        Ok(())
    }

    /// Whether anybody listens to the cropped face.
    pub fn is_crop_wanted(&self) -> r2r::Result<bool> {
        has_listeners(&self.cropped)
    }

    /// Publishes the cropped face.
    ///
    /// # Errors
    /// Those of OpenCV and of DDS.
    pub fn publish_crop(&self, header: &Header, face: &FaceAttributes, picture: Picture) -> anyhow::Result<()> {
        Ok(self.cropped.publish_native(&mut bgr_image(header, &crop(picture, face.roi)?)?)?)
    }

    /// Ends the topics.
    pub fn destroy(self, node: &mut Node) {
        node.destroy_publisher(self.roi);
        node.destroy_publisher(self.cropped);
        node.destroy_publisher(self.expression);
        node.destroy_publisher(self.softbiometrics);
    }
}

/// The box as shares of the image's width and height.
fn roi_message(
    header: &Header,
    face: &FaceAttributes,
    (width, height): (usize, usize),
) -> NormalizedRegionOfInterest2D {
    let share = |pixels: i32, of: usize| pixels as f32 / of as f32;
    NormalizedRegionOfInterest2D {
        header: header.clone(),
        xmin: share(face.roi.x, width),
        ymin: share(face.roi.y, height),
        xmax: share(face.roi.right(), width),
        ymax: share(face.roi.bottom(), height),
        c: face.confidence,
    }
}

/// libhri knows these words only. `None` where the emotion is unknown.
fn expression_message(header: &Header, estimate: &Estimate<Emotion>) -> Option<Expression> {
    let expression = match estimate.label? {
        Emotion::Angry => "angry",
        Emotion::Disgust => "disgusted",
        Emotion::Fear => "scared",
        Emotion::Happy => "happy",
        Emotion::Sad => "sad",
        Emotion::Surprise => "surprised",
        Emotion::Neutral => "neutral",
    };
    Some(Expression {
        header: header.clone(),
        expression: expression.to_owned(),
        // Not estimated.
        valence: f32::NAN,
        arousal: f32::NAN,
        confidence: estimate.confidence,
    })
}

/// Without an age. `None` where gender is unknown.
fn softbiometrics_message(header: &Header, estimate: &Estimate<Gender>) -> Option<SoftBiometrics> {
    let gender = match estimate.label? {
        Gender::Woman => SoftBiometrics::FEMALE as u8,
        Gender::Man => SoftBiometrics::MALE as u8,
    };
    Some(SoftBiometrics {
        header: header.clone(),
        age: 0,
        age_confidence: 0.0,
        gender,
        gender_confidence: estimate.confidence,
    })
}

/// The square around the box at REP-155's size; black where it leaves the image.
fn crop(Picture(bgr): Picture, roi: BoundingBox) -> opencv::Result<Mat> {
    let square = roi.square_with_margin(0.0);
    let mut padded = Mat::new_rows_cols_with_default(square.height, square.width, CV_8UC3, Scalar::default())?;
    if let Some(inside) = square.intersection(&BoundingBox::of_image(bgr.cols(), bgr.rows())) {
        let place = Rect::new(inside.x - square.x, inside.y - square.y, inside.width, inside.height);
        Mat::roi(bgr, inside.into())?.copy_to(&mut Mat::roi_mut(&mut padded, place)?)?;
    }
    let interpolation = if square.width > CROP_PX { INTER_AREA } else { INTER_LINEAR };
    let mut cropped = Mat::default();
    resize(&padded, &mut cropped, Size::new(CROP_PX, CROP_PX), 0.0, 0.0, interpolation)?;
    Ok(cropped)
}

#[cfg(test)]
mod tests {
    use opencv::core::Vec3b;

    use super::*;

    #[test]
    fn soft_biometrics_are_there_where_the_gender_is_known() {
        let of = |woman: f32| {
            let estimate = Estimate::from_probabilities(vec![woman, 1.0 - woman], 0.7);
            softbiometrics_message(&Header::default(), &estimate).map(|it| (it.gender, it.gender_confidence))
        };
        assert_eq!(of(0.875), Some((SoftBiometrics::FEMALE as u8, 0.875)));
        assert_eq!(of(0.125), Some((SoftBiometrics::MALE as u8, 0.875)));
        assert_eq!(of(0.6), None);
    }

    #[test]
    fn a_crop_has_the_size_of_the_rep_and_is_black_beyond_the_image() {
        let mut bgr = Mat::new_rows_cols_with_default(90, 130, CV_8UC3, Scalar::all(200.0)).unwrap();
        Mat::roi_mut(&mut bgr, Rect::new(60, 20, 20, 40))
            .unwrap()
            .set_to_def(&Scalar::new(10.0, 20.0, 250.0, 0.0))
            .unwrap();
        let at = |crop: &Mat, row: i32, column: i32| crop.at_2d::<Vec3b>(row, column).unwrap().0;
        let inside = crop(Picture(&bgr), BoundingBox { x: 60, y: 20, width: 40, height: 40 }).unwrap();
        assert_eq!((inside.cols(), inside.rows()), (128, 128));
        assert_eq!((at(&inside, 64, 20), at(&inside, 64, 100)), ([10, 20, 250], [200; 3]));
        // Cut by the right border of the image: the square around it is 60 pixels wide, of which 45 are in the image.
        let cut = crop(Picture(&bgr), BoundingBox { x: 100, y: 10, width: 30, height: 60 }).unwrap();
        assert_eq!((at(&cut, 64, 90), at(&cut, 64, 100)), ([200; 3], [0; 3]));
    }
}
