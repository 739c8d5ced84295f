//! Avro decimals: two's complement integers and a scale, as text such as `-12.50` and back.

use num_bigint::BigInt;

/// Longest unscaled value that is turned into text (over 9,000 digits); keeps a hostile one cheap.
const MAX_BYTES: usize = 4096;
/// Most zeros written out for a big-decimal; beyond, the text has an exponent.
const MAX_ZEROS: u64 = 1000;

/// Text of a decimal; `None` if it is unreasonably long.
pub(crate) fn to_text(unscaled: &[u8], scale: i64) -> Option<String> {
    if unscaled.len() > MAX_BYTES {
        return None;
    }
    let number = BigInt::from_signed_bytes_be(unscaled).to_string();
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", &*number),
    };
    if scale == 0 {
        return Some(number);
    }
    if scale < 0 || scale.unsigned_abs() > MAX_ZEROS + digits.len() as u64 {
        return Some(format!("{sign}{digits}E{}", -i128::from(scale)));
    }
    let scale = scale as usize;
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    Some(format!("{sign}{whole}.{fraction}"))
}

/// Digits of a decimal's text as [`to_text`] makes it, without zeros in front.
pub(crate) fn digits(text: &str) -> usize {
    let mantissa = text.split('E').next().unwrap_or(text);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    digits.skip_while(|digit| *digit == b'0').count()
}

/// A decimal number taken apart: digits and how many of them stand after the point.
struct Parsed {
    digits: String,
    scale: i64,
}

fn parse(text: &str) -> Option<Parsed> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (sign, whole) = match whole.as_bytes().first() {
        Some(b'-') => ("-", &whole[1..]),
        Some(b'+') => ("", &whole[1..]),
        _ => ("", whole),
    };
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.len() + fraction.len() == 0
        || whole.len() + fraction.len() > MAX_BYTES * 2
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return None;
    }
    Some(Parsed {
        digits: format!("{sign}{whole}{fraction}"),
        scale: fraction.len() as i64 - i64::from(exponent),
    })
}

/// Unscaled bytes of a decimal text at this scale; `None` if it is no number, has more digits than
/// `precision`, or more after the point than `scale`.
pub(crate) fn to_unscaled(text: &str, precision: usize, scale: usize) -> Option<Vec<u8>> {
    let parsed = parse(text)?;
    let mut digits = parsed.digits;
    let missing = i64::try_from(scale).ok()? - parsed.scale;
    if missing >= 0 {
        let value_digits = digits.trim_start_matches(['-', '0']).len() as i64;
        if value_digits == 0 {
            digits = "0".to_owned();
        } else if value_digits + missing > precision as i64 {
            return None;
        } else {
            digits.extend(std::iter::repeat_n('0', missing as usize));
        }
    } else {
        let surplus = usize::try_from(missing.unsigned_abs()).ok()?;
        let kept = digits.len().checked_sub(surplus);
        let cut = digits.split_off(kept.unwrap_or(0));
        if cut.bytes().any(|b| b != b'0' && b != b'-') {
            return None;
        }
    }
    let unsigned = digits.trim_start_matches(['-', '0']);
    if unsigned.len() > precision {
        return None;
    }
    if unsigned.is_empty() {
        return Some(vec![0]);
    }
    Some(digits.parse::<BigInt>().ok()?.to_signed_bytes_be())
}

/// Unscaled bytes and scale of a big-decimal text; `None` if it is no number.
pub(crate) fn to_big(text: &str) -> Option<(Vec<u8>, i64)> {
    let parsed = parse(text)?;
    Some((
        parsed.digits.parse::<BigInt>().ok()?.to_signed_bytes_be(),
        parsed.scale,
    ))
}

/// Unscaled bytes stretched to the size of a `fixed`; `None` if they do not fit.
pub(crate) fn stretch(unscaled: &[u8], size: usize) -> Option<Vec<u8>> {
    let fill = if unscaled.first().is_some_and(|first| first & 0x80 != 0) {
        0xff
    } else {
        0
    };
    let mut bytes = vec![fill; size.checked_sub(unscaled.len())?];
    bytes.extend_from_slice(unscaled);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn texts_become_unscaled_bytes_and_come_back_at_the_schemas_scale() {
        for (text, scale, bytes, back) in [
            ("12.50", 2, vec![0x04, 0xe2], "12.50"),
            ("12.5", 2, vec![0x04, 0xe2], "12.50"),
            ("-0.01", 2, vec![0xff], "-0.01"),
            ("0", 2, vec![0], "0.00"),
            ("-0.000", 2, vec![0], "0.00"),
            ("1.2e1", 0, vec![12], "12"),
            ("1200e-2", 0, vec![12], "12"),
            ("128", 0, vec![0, 0x80], "128"),
            ("0e999999999", 0, vec![0], "0"),
        ] {
            assert_eq!(to_unscaled(text, 6, scale).unwrap(), bytes, "{text}");
            assert_eq!(to_text(&bytes, scale as i64).unwrap(), back, "{text}");
            let unscaled = BigInt::from_signed_bytes_be(&bytes).magnitude().to_string();
            let expected = if unscaled == "0" { 0 } else { unscaled.len() };
            assert_eq!(digits(back), expected, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_or_is_no_number_is_refused() {
        for text in [
            "12.345",
            "1234567",
            "1e999999999",
            "",
            ".",
            "-",
            "1.2.3",
            "abc",
            "1e",
            "1e9999999999999",
            "0x10",
        ] {
            assert_eq!(to_unscaled(text, 6, 2), None, "{text}");
        }
        assert_eq!(stretch(&[1, 2, 3], 2), None);
        assert_eq!(stretch(&[0xff], 3).unwrap(), [0xff; 3]);
    }

    #[test]
    fn a_hostile_scale_or_length_does_not_become_a_long_text() {
        assert_eq!(to_text(&[1], i64::MAX).unwrap(), "1E-9223372036854775807");
        assert_eq!(to_text(&[1], i64::MIN).unwrap(), "1E9223372036854775808");
        assert_eq!(to_text(&[1; MAX_BYTES + 1], 0), None);
        assert_eq!(to_text(&[], 2).unwrap(), "0.00");
    }
}
