//! How lenses distort: from the direction of a point to its place in the picture plane, and back.
//!
//! The models and the order of their coefficients are OpenCV's, in which ROS calibrates cameras: the rational model with thin prism
//! and tilted sensor (Brown 1966, Weng et al. 1992, Louhichi et al. 2007), and the equidistant one for fisheyes (Kannala and Brandt
//! 2006).

/// From the middle of the picture to a point of it, the inverse follows the line in so many steps. Each is small enough for
/// Newton's method to stay on the branch that begins in the middle.
const STEPS: u32 = 16;
const NEWTON_ITERATIONS: u32 = 20;
/// The largest error of an inverse, in the picture plane at distance 1: 6e-8 degrees.
const TOLERANCE: f64 = 1e-9;

/// A point of the picture plane at distance 1: x to the right, y down.
pub type Point = (f64, f64);

/// The model of a lens with its coefficients.
#[derive(Debug, Clone, PartialEq)]
pub enum Distortion {
    /// `plumb_bob` and `rational_polynomial`: the first five are k1, k2, p1, p2, k3.
    Rational(Box<Rational>),
    /// `equidistant`.
    Equidistant(Equidistant),
}

/// OpenCV's rational model. Coefficients that a camera does not give are 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Rational {
    /// k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4.
    coefficients: [f64; 12],
    /// The projection onto the tilted sensor, rows first.
    tilt: [[f64; 3]; 3],
}

impl Rational {
    /// `coefficients` in OpenCV's order, as many as the camera gives, 14 at the most.
    pub fn new(coefficients: &[f64]) -> Self {
        let all: [f64; 14] = std::array::from_fn(|n| coefficients.get(n).copied().unwrap_or(0.0));
        let [.., tau_x, tau_y] = all;
        Self { coefficients: std::array::from_fn(|n| all[n]), tilt: tilt(tau_x, tau_y) }
    }

    fn distort(&self, (x, y): Point) -> Point {
        let [k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4] = self.coefficients;
        let r2 = x * x + y * y;
        let radial = (1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))) / (1.0 + r2 * (k4 + r2 * (k5 + r2 * k6)));
        let distorted = [
            x * radial + 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x) + r2 * (s1 + r2 * s2),
            y * radial + p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y + r2 * (s3 + r2 * s4),
            1.0,
        ];
        let [x, y, z] = self.tilt.map(|row| row.iter().zip(distorted).map(|(a, b)| a * b).sum::<f64>());
        (x / z, y / z)
    }

    /// Follows the line from the middle to `target`, so that of several points that the lens would send there the one is found whose
    /// light the sensor sees. `None` beyond the radius at which the polynomials turn back.
    fn undistort(&self, target: Point) -> Option<Point> {
        let start = self.newton(self.distort((0.0, 0.0)), (0.0, 0.0))?;
        let (middle, mut point) = (self.distort(start), start);
        for step in 1..=STEPS {
            let share = f64::from(step) / f64::from(STEPS);
            let on_the_line = |middle: f64, target: f64| middle + share * (target - middle);
            let next = self.newton((on_the_line(middle.0, target.0), on_the_line(middle.1, target.1)), point)?;
            // Between two steps, the model must not fold either.
            let between = ((point.0 + next.0) / 2.0, (point.1 + next.1) / 2.0);
            self.slope(between).filter(|slope| slope.determinant > 0.0)?;
            point = next;
        }
        Some(point)
    }

    fn newton(&self, target: Point, mut point: Point) -> Option<Point> {
        for _ in 0..NEWTON_ITERATIONS {
            let got = self.distort(point);
            let (dx, dy) = (target.0 - got.0, target.1 - got.1);
            let slope = self.slope(point).filter(|slope| slope.determinant > 0.0)?;
            if dx.hypot(dy) < TOLERANCE {
                return Some(point);
            }
            point.0 += (slope.dy.1 * dx - slope.dy.0 * dy) / slope.determinant;
            point.1 += (slope.dx.0 * dy - slope.dx.1 * dx) / slope.determinant;
        }
        None
    }

    fn slope(&self, (x, y): Point) -> Option<Slope> {
        const STEP: f64 = 1e-6;
        let difference = |a: Point, b: Point| ((a.0 - b.0) / (2.0 * STEP), (a.1 - b.1) / (2.0 * STEP));
        let dx = difference(self.distort((x + STEP, y)), self.distort((x - STEP, y)));
        let dy = difference(self.distort((x, y + STEP)), self.distort((x, y - STEP)));
        let determinant = dx.0 * dy.1 - dx.1 * dy.0;
        determinant.is_finite().then_some(Slope { dx, dy, determinant })
    }
}

/// How a distorted point moves with its undistorted one.
struct Slope {
    dx: Point,
    dy: Point,
    determinant: f64,
}

/// The projection onto a sensor that is turned about x by `tau_x` and then about y by `tau_y`, in radians.
fn tilt(tau_x: f64, tau_y: f64) -> [[f64; 3]; 3] {
    let ((sx, cx), (sy, cy)) = (tau_x.sin_cos(), tau_y.sin_cos());
    let rotation = [[cy, sy * sx, -sy * cx], [0.0, cx, sx], [sy, -cy * sx, cy * cx]];
    let [[.., r13], [.., r23], last @ [.., r33]] = rotation;
    let row = |n: usize, r: f64| std::array::from_fn(|column| r33 * rotation[n][column] - r * last[column]);
    [row(0, r13), row(1, r23), last]
}

/// The model of fisheyes: the distance from the middle is a polynomial of the angle.
#[derive(Debug, Clone, PartialEq)]
pub struct Equidistant {
    coefficients: [f64; 4],
    /// Up to this angle to the axis, in radians, the distance from the middle grows.
    largest_angle: f64,
}

impl Equidistant {
    /// `coefficients` are k1 to k4; those that are missing are 0.
    pub fn new(coefficients: &[f64]) -> Self {
        const SCANNED: u32 = 1000;
        let coefficients = std::array::from_fn(|n| coefficients.get(n).copied().unwrap_or(0.0));
        let angles = (0..=SCANNED).map(|n| std::f64::consts::PI * f64::from(n) / f64::from(SCANNED));
        let largest_angle = angles.take_while(|angle| growth(&coefficients, *angle) > 0.0).last().unwrap_or(0.0);
        Self { coefficients, largest_angle }
    }

    fn radius(&self, angle: f64) -> f64 {
        let [k1, k2, k3, k4] = self.coefficients;
        let a2 = angle * angle;
        angle * (1.0 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))
    }

    /// By bisection: the radius grows up to the largest angle.
    fn angle(&self, radius: f64) -> Option<f64> {
        const HALVINGS: u32 = 60;
        if radius > self.radius(self.largest_angle) {
            return None;
        }
        let (mut low, mut high) = (0.0, self.largest_angle);
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if self.radius(middle) < radius { low = middle } else { high = middle }
        }
        Some((low + high) / 2.0)
    }
}

/// The derivative of the radius by the angle.
fn growth([k1, k2, k3, k4]: &[f64; 4], angle: f64) -> f64 {
    let a2 = angle * angle;
    1.0 + a2 * (3.0 * k1 + a2 * (5.0 * k2 + a2 * (7.0 * k3 + a2 * 9.0 * k4)))
}

impl Distortion {
    /// Where the lens shows a direction; `None` where that is behind the camera, or beyond what the model describes.
    pub fn project(&self, [x, y, z]: [f64; 3]) -> Option<Point> {
        match self {
            Self::Rational(lens) => (z > 0.0).then(|| lens.distort((x / z, y / z))),
            Self::Equidistant(lens) => {
                let across = x.hypot(y);
                let angle = across.atan2(z);
                let scale = if across > 0.0 { lens.radius(angle) / across } else { 0.0 };
                (angle <= lens.largest_angle).then_some((x * scale, y * scale))
            }
        }
    }

    /// The direction that the lens shows at a point: a unit vector. `None` where it shows nothing there.
    pub fn unproject(&self, point: Point) -> Option<[f64; 3]> {
        let direction = match self {
            Self::Rational(lens) => {
                let (x, y) = lens.undistort(point)?;
                [x, y, 1.0]
            }
            Self::Equidistant(lens) => {
                let radius = point.0.hypot(point.1);
                let angle = lens.angle(radius)?;
                let scale = if radius > 0.0 { angle.sin() / radius } else { 0.0 };
                [point.0 * scale, point.1 * scale, angle.cos()]
            }
        };
        let length = direction.iter().map(|part| part * part).sum::<f64>().sqrt();
        Some(direction.map(|part| part / length))
    }
}
