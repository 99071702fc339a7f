//! Camera models against OpenCV's. The points and pixels are those of `cv2.projectPoints` and `cv2.fisheye.projectPoints` of
//! opencv-python 4.14.0, without rotation and translation, with the matrices and coefficients below.

use proptest::prelude::*;

use super::*;

const POINTS: [[f64; 3]; 5] =
    [[0.11, -0.07, 1.0], [-0.45, 0.31, 1.1], [0.52, 0.40, 1.3], [-0.30, -0.38, 0.9], [0.02, 0.45, 2.0]];
const K: [f64; 9] = [612.5, 0.0, 338.25, 0.0, 598.75, 221.5, 0.0, 0.0, 1.0];
const PLUMB_BOB: [f64; 5] = [-0.31, 0.12, 0.0013, -0.0021, -0.018];
const RATIONAL: [f64; 14] =
    [0.42, -0.09, 0.0007, 0.0011, 0.004, 0.71, 0.02, -0.003, 0.002, -0.001, 0.0015, 0.0008, 0.021, -0.034];
const FISHEYE: [f64; 4] = [-0.012, 0.035, -0.028, 0.0055];

fn calibration(distortion_model: &str, d: &[f64]) -> Calibration {
    let (k, (width, height)) = match distortion_model {
        "equidistant" => ([285.5, 0.0, 420.75, 0.0, 287.25, 391.5, 0.0, 0.0, 1.0], (848, 800)),
        _ => (K, (640, 480)),
    };
    Calibration { width, height, k, d: d.to_vec(), distortion_model: distortion_model.to_owned(), ..Default::default() }
}

fn model(distortion_model: &str, d: &[f64]) -> CameraModel {
    CameraModel::new(&calibration(distortion_model, d)).unwrap()
}

/// The angle between two directions, in degrees.
fn angle([a, b, c]: [f64; 3], [x, y, z]: [f64; 3]) -> f64 {
    let cross = [b * z - c * y, c * x - a * z, a * y - b * x];
    let sine = cross.iter().map(|part| part * part).sum::<f64>().sqrt();
    sine.atan2(a * x + b * y + c * z).to_degrees()
}

fn check(model: &CameraModel, points: &[[f64; 3]], pixels: &[(f64, f64)]) {
    assert_eq!(points.len(), pixels.len());
    for (point, (u, v)) in points.iter().zip(pixels) {
        let (got_u, got_v) = model.project(*point).unwrap();
        assert!((got_u - u).abs() < 1e-6 && (got_v - v).abs() < 1e-6, "{point:?}: {got_u}, {got_v}");
        let ray = model.ray((*u, *v)).unwrap();
        assert!(angle(ray, *point) < 1e-6, "{point:?}: {ray:?}");
        assert!((ray.iter().map(|part| part * part).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn plumb_bob_is_that_of_opencv() {
    let pixels = [
        (405.207008607, 179.847153081),
        (104.155619444, 379.123111504),
        (565.19830647, 392.601132299),
        (150.002296229, -10.908056665),
        (344.218643534, 354.25424637),
    ];
    check(&model("plumb_bob", &PLUMB_BOB), &POINTS, &pixels);
}

#[test]
fn the_rational_model_is_that_of_opencv_with_8_12_and_14_coefficients() {
    let of_8 = [
        (405.315846206, 179.794068),
        (104.622479961, 379.045785342),
        (566.980342467, 393.474313279),
        (150.272775192, -11.379414449),
        (344.322608407, 354.335965423),
    ];
    let of_12 = [
        (405.336494194, 179.809474556),
        (104.887481088, 379.296592343),
        (567.252592582, 393.734110388),
        (150.575976826, -11.079400009),
        (344.383170554, 354.382755293),
    ];
    let of_14 = [
        (405.527592734, 179.752621259),
        (106.473847928, 378.006113007),
        (571.766097766, 397.228929838),
        (153.893278142, -7.015342437),
        (344.417567104, 355.084527668),
    ];
    for (count, pixels) in [(8, of_8), (12, of_12), (14, of_14)] {
        check(&model("rational_polynomial", &RATIONAL[..count]), &POINTS, &pixels);
    }
}

#[test]
fn the_equidistant_model_is_that_of_opencv() {
    let points = [&POINTS[..], &[[2.5, -1.1, 0.8], [-1.9, 0.6, 0.2]]].concat();
    let pixels = [
        (451.972837091, 371.509132406),
        (312.483154799, 466.540995509),
        (526.381369356, 473.252959309),
        (333.546262969, 280.364869637),
        (423.556718508, 455.038257641),
        (753.5438577, 244.173150001),
        (30.419837555, 515.517703931),
    ];
    check(&model("equidistant", &FISHEYE), &points, &pixels);
}

#[test]
fn a_fisheye_sees_beside_itself() {
    let model = model("equidistant", &[0.0; 4]);
    let beside = [1.0, 0.0, -0.2];
    let ray = model.ray(model.project(beside).unwrap()).unwrap();
    assert!(angle(ray, beside) < 1e-6, "{ray:?}");
}

#[test]
fn without_distortion_a_ray_is_that_of_a_pinhole() {
    for (name, d) in [("plumb_bob", &[][..]), ("plumb_bob", &[0.0; 5]), ("", &[]), ("rational_polynomial", &[0.0; 8])] {
        let ray = model(name, d).ray((400.0, 100.0)).unwrap();
        let expected = [(400.0 - 338.25) / 612.5, (100.0 - 221.5) / 598.75, 1.0];
        assert!(angle(ray, expected) < 1e-9, "{name} {ray:?}");
    }
}

// The part begins at column 200 and row 60 of the full resolution, and two columns and three rows make one.
#[test]
fn a_binned_part_of_the_image_has_the_directions_of_the_whole() {
    let whole = calibration("plumb_bob", &PLUMB_BOB);
    let roi = Region { x: 200, y: 60, width: 300, height: 240 };
    let part = CameraModel::new(&Calibration { roi, binning_x: 2, binning_y: 3, ..whole.clone() }).unwrap();
    assert_eq!(part.image_size(), (150, 80));
    assert!(part.fits(150, 80) && !part.fits(80, 150) && !part.fits(640, 480));
    let whole = CameraModel::new(&whole).unwrap();
    assert!(whole.fits(640, 480));
    let (u, v) = (31.0, 52.0);
    let of_whole = whole.ray((200.0 + 2.0 * u, 60.0 + 3.0 * v)).unwrap();
    assert!(angle(part.ray((u, v)).unwrap(), of_whole) < 1e-9);
}

#[test]
fn where_the_lens_shows_nothing_there_is_no_direction() {
    // The radius grows to 0.667 at r = 1 and falls from there on.
    let barrel = model("plumb_bob", &[-1.0 / 3.0, 0.0, 0.0, 0.0]);
    let at = |radius: f64| (338.25 + 612.5 * radius, 221.5);
    assert!(barrel.ray(at(0.66)).is_some());
    for radius in [0.67, 0.7, 0.9, 1.5, 4.0, -0.67, -2.0] {
        assert_eq!(barrel.ray(at(radius)), None, "{radius}");
    }
    let fisheye = model("equidistant", &[-0.1, 0.0, 0.0, 0.0]);
    assert_eq!(fisheye.ray((420.75 + 285.5 * 1.3, 391.5)), None);
    assert!(model("plumb_bob", &PLUMB_BOB).project([0.1, 0.1, -1.0]).is_none());
}

#[test]
fn a_wrong_calibration_is_refused_by_what_is_wrong() {
    let good = calibration("plumb_bob", &PLUMB_BOB);
    let roi = Region { x: 400, y: 0, width: 300, height: 240 };
    let mut flipped = K;
    flipped[4] = -598.75;
    let cases = [
        (Calibration { k: [0.0; 9], ..good.clone() }, "not calibrated"),
        (Calibration { k: [f64::NAN; 9], ..good.clone() }, "K is [NaN"),
        (Calibration { k: flipped, ..good.clone() }, "positive fx and fy"),
        (Calibration { width: 0, ..good.clone() }, "0 x 480"),
        (Calibration { roi, ..good.clone() }, "x: 400"),
        (Calibration { distortion_model: "thin_prism".to_owned(), ..good.clone() }, "\"thin_prism\" is not supported"),
        (Calibration { distortion_model: "equidistant".to_owned(), ..good.clone() }, "\"equidistant\" has no"),
        (Calibration { d: vec![0.1; 7], ..good.clone() }, "\"plumb_bob\" has no coefficients [0.1"),
        (Calibration { d: vec![f64::INFINITY; 5], ..good }, "[inf"),
    ];
    for (calibration, reason) in cases {
        let error = CameraModel::new(&calibration).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

proptest! {
    #[test]
    fn each_pixel_of_the_image_gives_the_direction_that_the_model_shows_there(u in 0.0..640.0, v in 0.0..480.0) {
        for (name, d) in [("plumb_bob", &PLUMB_BOB[..]), ("rational_polynomial", &RATIONAL), ("equidistant", &FISHEYE)] {
            let model = model(name, d);
            let (back_u, back_v) = model.project(model.ray((u, v)).unwrap()).unwrap();
            prop_assert!((back_u - u).abs() < 1e-5 && (back_v - v).abs() < 1e-5, "{} {} {}", name, back_u, back_v);
        }
    }
}
