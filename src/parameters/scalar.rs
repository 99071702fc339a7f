//! What a scalar of a parameter file means, by the rules of rcl's `rcl_yaml_param_parser`: YAML 1.1 booleans, and numbers as
//! C's `strtoll` and `strtod` read them.

use super::Value;

const TRUE: [&str; 11] = ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"];
const FALSE: [&str; 11] = ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"];

/// The value of an unquoted scalar.
pub(super) fn unquoted(text: &str) -> Value {
    if TRUE.contains(&text) {
        return Value::Bool(true);
    }
    if FALSE.contains(&text) {
        return Value::Bool(false);
    }
    let number = integer(text).map(Value::Integer).or_else(|| double(text).map(Value::Double));
    number.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// As `strtoll` with base 0: `0x10` is 16 and `010` is 8. `None` where it is too large or no integer.
fn integer(text: &str) -> Option<i64> {
    let (is_negative, digits) = sign(text);
    let (digits, radix) = match hexadecimal(digits) {
        Some(digits) => (digits, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    // `from_str_radix` would take a second sign.
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    i64::try_from(if is_negative { -magnitude } else { magnitude }).ok()
}

/// As `strtod`, and YAML's `.inf` and `.nan`. `None` where it is too large, too small or no number.
fn double(text: &str) -> Option<f64> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        _ => {}
    }
    let (is_negative, digits) = sign(text);
    let magnitude = if let Some(digits) = hexadecimal(digits) {
        hexadecimal_double(digits)?
    } else if digits.starts_with(['+', '-']) {
        return None;
    } else if is_nan_with_payload(digits) {
        f64::NAN
    } else {
        decimal_double(digits)?
    };
    Some(if is_negative { -magnitude } else { magnitude })
}

/// `nan(1)`: C takes letters, digits and `_` between the brackets.
fn is_nan_with_payload(digits: &str) -> bool {
    let payload = digits.split_once('(').filter(|(word, _)| word.eq_ignore_ascii_case("nan"));
    let payload = payload.and_then(|(_, payload)| payload.strip_suffix(')'));
    payload.is_some_and(|payload| payload.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

/// Rust's own parser takes what `strtod` takes, but rounds where that reports a number out of range.
fn decimal_double(digits: &str) -> Option<f64> {
    let number: f64 = digits.parse().ok()?;
    let is_word = digits.starts_with(|first: char| first.is_ascii_alphabetic());
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.contains(|digit: char| ('1'..='9').contains(&digit));
    (is_word || number.is_normal() || (is_zero && number == 0.0)).then_some(number)
}

/// `8.8p1` is 8.5 times 2.
fn hexadecimal_double(digits: &str) -> Option<f64> {
    let (mantissa, exponent) = digits.split_once(['p', 'P']).unwrap_or((digits, "0"));
    let mut exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    exponent = exponent.checked_sub(i32::try_from(fraction.len()).ok()?.checked_mul(4)?)?;
    let scaled = if number == 0.0 { number } else { number * f64::from(exponent).exp2() };
    (scaled.is_normal() || number == 0.0).then_some(scaled)
}

/// Whether a number is negative, and its digits. C skips white space in front.
fn sign(text: &str) -> (bool, &str) {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn hexadecimal(digits: &str) -> Option<&str> {
    digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_those_of_yaml_1_1() {
        for text in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] {
            assert_eq!(unquoted(text), Value::Bool(true), "{text}");
        }
        for text in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
            assert_eq!(unquoted(text), Value::Bool(false), "{text}");
        }
        for text in ["yEs", "oN", "nO", "tRue", "null", "~", "enabled"] {
            assert_eq!(unquoted(text), Value::from(text), "{text}");
        }
    }

    #[test]
    fn integers_are_read_with_the_base_of_their_prefix() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("+5", 5),
            ("010", 8),
            ("-010", -8),
            ("0x10", 16),
            ("0X1f", 31),
            ("-0x10", -16),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(unquoted(text), Value::Integer(value), "{text}");
        }
    }

    #[test]
    fn doubles_are_read_as_c_reads_them() {
        for (text, value) in [
            ("1.0", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("1e3", 1000.0),
            ("1E+05", 1e5),
            ("08", 8.0),
            ("09.5", 9.5),
            ("0.0", 0.0),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("0xffffffffffffffff", 18_446_744_073_709_551_615.0),
            ("0x1p3", 8.0),
            ("0x1.8p1", 3.0),
            ("0x.8", 0.5),
            ("0x0p9999", 0.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            (".inf", f64::INFINITY),
            ("+.Inf", f64::INFINITY),
            ("-.INF", f64::NEG_INFINITY),
        ] {
            assert_eq!(unquoted(text), Value::Double(value), "{text}");
        }
        for text in [".nan", ".NaN", ".NAN", "nan", "-nan", "nan(1)"] {
            assert!(matches!(unquoted(text), Value::Double(number) if number.is_nan()), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_out_of_range_is_a_string() {
        for text in [
            "0o10",
            "0b11",
            "1_000",
            "1e",
            "1e400",
            "-1e400",
            "1e-400",
            "4e-320",
            "0x",
            "0xg",
            "1f",
            "1 2",
            "+",
            ".",
            "1:30",
            "2001-01-01",
            "+-5",
            "--5",
            "0x-5",
            "-.nan",
            ".iNf",
            "0x1p",
            "0x1p9999",
            "nan(1)nan(1)",
            "٣",
            "/a/b.onnx",
        ] {
            assert_eq!(unquoted(text), Value::from(text), "{text}");
        }
    }
}
