//! How a face moves: a constant-velocity Kalman filter (Kalman 1960) of its centre and its size.
//!
//! Time is in seconds and is measured, so that the filter does not depend on the frame rate. Lengths are relative to the
//! side of the face, so that it does not depend on the distance of the person.

use super::BoundingBox;

/// Standard deviation of a detected centre, in sides of the face.
const CENTER_DEVIATION: f64 = 0.03;
/// Standard deviation of a detected side, as a logarithm: 4 %.
const SIZE_DEVIATION: f64 = 0.04;
/// Spectral density of the acceleration of a head, in squared sides per cubed second.
const CENTER_ACCELERATION: f64 = 5.0;
/// By how much a side changes, as a variance of its logarithm per second: 20 % in a second.
const SIZE_CHANGE: f64 = 0.04;
/// From this confidence on, a detection is as exact as a surer one. Less sure ones, of faces that are half covered, are less
/// exact.
const SURE: f64 = 0.6;
/// Standard deviation of the velocity of a new face, in sides per second.
const FIRST_VELOCITY: f64 = 1.5;
/// Without a measurement, a velocity decays with this time constant, in seconds. A person who starts to move stops soon.
const VELOCITY_DECAY_SECS: f64 = 0.8;

/// Position and velocity along one axis, with the covariance of both.
#[derive(Debug, Clone, Copy)]
struct Axis {
    position: f64,
    velocity: f64,
    position_variance: f64,
    covariance: f64,
    velocity_variance: f64,
}

impl Axis {
    fn new(position: f64, deviation: f64, velocity_deviation: f64) -> Self {
        Self {
            position,
            velocity: 0.0,
            position_variance: deviation.powi(2),
            covariance: 0.0,
            velocity_variance: velocity_deviation.powi(2),
        }
    }

    fn advance(&mut self, dt: f64, acceleration: f64) {
        let decay = (-dt / VELOCITY_DECAY_SECS).exp();
        let travel = VELOCITY_DECAY_SECS * (1.0 - decay);
        self.position += travel * self.velocity;
        self.velocity *= decay;
        // The exact integrals of white acceleration through the decay (Singer 1970), so that the length of a step is no matter.
        let tau = VELOCITY_DECAY_SECS;
        let position_noise = tau.powi(2) * (dt - 2.0 * travel + tau * (1.0 - decay.powi(2)) / 2.0);
        let velocity_noise = tau * (1.0 - decay.powi(2)) / 2.0;
        self.position_variance +=
            2.0 * travel * self.covariance + travel.powi(2) * self.velocity_variance + acceleration * position_noise;
        self.covariance =
            decay * (self.covariance + travel * self.velocity_variance) + acceleration * travel.powi(2) / 2.0;
        self.velocity_variance = decay.powi(2) * self.velocity_variance + acceleration * velocity_noise;
    }

    fn correct(&mut self, measured: f64, deviation: f64) {
        let total = self.position_variance + deviation.powi(2);
        let (position_gain, velocity_gain) = (self.position_variance / total, self.covariance / total);
        let innovation = measured - self.position;
        self.position += position_gain * innovation;
        self.velocity += velocity_gain * innovation;
        self.velocity_variance -= velocity_gain * self.covariance;
        self.covariance *= 1.0 - position_gain;
        self.position_variance *= 1.0 - position_gain;
    }
}

/// The filtered centre and size of one face.
#[derive(Debug, Clone)]
pub struct Motion {
    x: Axis,
    y: Axis,
    /// Has no velocity: a face that is half covered seems to shrink, and would go on to do so.
    log_side: f64,
    log_side_variance: f64,
}

impl Motion {
    /// A face at rest at `face`.
    pub fn new(face: BoundingBox) -> Self {
        let (x, y) = face.center();
        let side = face.longer_side();
        let center = |position| Axis::new(position, CENTER_DEVIATION * side, FIRST_VELOCITY * side);
        Self { x: center(x), y: center(y), log_side: side.ln(), log_side_variance: SIZE_DEVIATION.powi(2) }
    }

    /// Moves the face on by `dt` seconds.
    pub fn advance(&mut self, dt: f64) {
        let acceleration = CENTER_ACCELERATION * self.side().powi(2);
        self.x.advance(dt, acceleration);
        self.y.advance(dt, acceleration);
        self.log_side_variance += SIZE_CHANGE * dt;
    }

    /// Corrects centre and size by the box in which the face was detected with this `confidence`, 0 to 1.
    pub fn correct(&mut self, face: BoundingBox, confidence: f32) {
        let doubt = (SURE / f64::from(confidence).max(0.05)).max(1.0).powi(2);
        self.correct_center_by(face.center(), doubt);
        let variance = (doubt * SIZE_DEVIATION).powi(2);
        let gain = self.log_side_variance / (self.log_side_variance + variance);
        self.log_side += gain * (face.longer_side().ln() - self.log_side);
        self.log_side_variance *= 1.0 - gain;
    }

    /// Corrects the centre alone.
    pub fn correct_center(&mut self, center: (f64, f64)) {
        self.correct_center_by(center, 1.0);
    }

    fn correct_center_by(&mut self, (x, y): (f64, f64), doubt: f64) {
        let deviation = doubt * CENTER_DEVIATION * self.side();
        self.x.correct(x, deviation);
        self.y.correct(y, deviation);
    }

    /// The centre of the face, in pixels.
    pub fn center(&self) -> (f64, f64) {
        (self.x.position, self.y.position)
    }

    /// The side of the face, in pixels, at least 1.
    pub fn side(&self) -> f64 {
        self.log_side.exp().clamp(1.0, 1e6)
    }

    /// The square of the face. It may leave the image.
    pub fn square(&self) -> BoundingBox {
        let side = self.side().round();
        let (x, y) = self.center();
        let begin = |center: f64| (center - side / 2.0).round() as i32;
        BoundingBox { x: begin(x), y: begin(y), width: side as i32, height: side as i32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A face of 60 pixels that moves by 90 pixels per second to the right and grows by a tenth per second.
    fn at(secs: f64) -> BoundingBox {
        let side = 60.0 * 1.1_f64.powf(secs);
        let begin = |center: f64| (center - side / 2.0).round() as i32;
        BoundingBox { x: begin(100.0 + 90.0 * secs), y: begin(80.0), width: side as i32, height: side as i32 }
    }

    #[test]
    fn a_steady_motion_is_predicted_for_a_third_of_a_second_at_every_frame_rate() {
        for rate_hz in [5.0, 15.0, 30.0, 60.0] {
            let mut motion = Motion::new(at(0.0));
            for frame in 1..=(2.0 * rate_hz) as i32 {
                motion.advance(1.0 / rate_hz);
                motion.correct(at(f64::from(frame) / rate_hz), 1.0);
            }
            motion.advance(0.33);
            let (x, y) = motion.center();
            let (true_x, true_y) = at(2.33).center();
            // At rest it would be 30 pixels behind.
            assert!((x - true_x).abs() < 10.0 && (y - true_y).abs() < 3.0, "{rate_hz} Hz: {x}, {y} for {true_x}");
            assert!((motion.side() / at(2.33).longer_side() - 1.0).abs() < 0.1, "{rate_hz} Hz");
        }
    }

    #[test]
    fn many_short_steps_predict_what_one_long_step_does() {
        let mut one = Motion::new(at(0.0));
        one.advance(0.1);
        one.correct(at(0.1), 1.0);
        let mut many = one.clone();
        one.advance(0.6);
        (0..60).for_each(|_| many.advance(0.01));
        assert!((one.center().0 - many.center().0).abs() < 1e-6);
        assert!((one.x.position_variance / many.x.position_variance - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_doubtful_detection_counts_less() {
        let half = BoundingBox { x: 85, y: 65, width: 30, height: 30 };
        let side_after = |confidence| {
            let mut motion = Motion::new(at(0.0));
            for _ in 0..3 {
                motion.advance(0.03);
                motion.correct(half, confidence);
            }
            motion.side()
        };
        assert!(side_after(0.35) > 1.3 * side_after(0.8), "{} {}", side_after(0.35), side_after(0.8));
    }

    #[test]
    fn a_face_that_is_lost_stops() {
        let mut motion = Motion::new(at(0.0));
        for frame in 1..=30 {
            motion.advance(1.0 / 30.0);
            motion.correct(at(f64::from(frame) / 30.0), 1.0);
        }
        motion.advance(60.0);
        let travelled = motion.center().0 - at(1.0).center().0;
        assert!((30.0..100.0).contains(&travelled), "{travelled}");
    }
}
