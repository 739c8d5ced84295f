//! Unscaled decimals in two's complement, big-endian.

/// Digits that every 128-bit integer can have.
const EXACT: usize = 38;

/// Without the leading bytes that say nothing; one byte at least.
pub(super) fn shortest(mut bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() {
        return &[0];
    }
    while let [first @ (0x00 | 0xff), second, ..] = bytes
        && first >> 7 == second >> 7
    {
        bytes = &bytes[1..];
    }
    bytes
}

/// Whether the number (in its shortest form) has no more digits. Beyond 38 digits only its length in
/// bytes is looked at, as readers do.
pub(super) fn fits(shortest: &[u8], precision: usize) -> bool {
    if precision > EXACT {
        let bits = precision as f64 * std::f64::consts::LOG2_10 + 1.0;
        return shortest.len() as f64 <= (bits / 8.0).ceil();
    }
    if shortest.len() > size_of::<i128>() {
        return false;
    }
    let sign = if shortest[0] >> 7 == 1 { -1 } else { 0 };
    let number = shortest
        .iter()
        .fold(sign, |number: i128, byte| number << 8 | i128::from(*byte));
    number.unsigned_abs() < 10_u128.pow(precision as u32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn leading_bytes_that_say_nothing_go_and_the_sign_stays() {
        for (bytes, short) in [
            (&[][..], &[0][..]),
            (&[0], &[0]),
            (&[0, 0, 0], &[0]),
            (&[0, 0x7f], &[0x7f]),
            (&[0, 0x80], &[0, 0x80]),
            (&[0xff, 0xff, 0xff], &[0xff]),
            (&[0xff, 0x80], &[0x80]),
            (&[0xff, 0x7f], &[0xff, 0x7f]),
        ] {
            assert_eq!(shortest(bytes), short, "{bytes:?}");
        }
    }

    #[test]
    fn a_number_fits_up_to_its_digits() {
        for (number, precision, expected) in [
            (0, 1, true),
            (9, 1, true),
            (10, 1, false),
            (-9, 1, true),
            (-10, 1, false),
            (99_999_999_999_999_999_999_999_999_999_999_999_999, 38, true),
            (i128::MAX, 38, false),
            (i128::MIN, 38, false),
            (i128::MAX, 40, true),
        ] {
            let bytes = i128::to_be_bytes(number);
            assert_eq!(fits(shortest(&bytes), precision), expected, "{number}");
        }
        assert!(!fits(&[1; 17], 38));
        assert!(!fits(&[1; 18], 40));
    }
}
