//! What may stand in the name of an object.

use std::fmt::Write;

/// Longest part of a name between slashes that file systems take, in bytes.
pub(super) const MAX_SEGMENT: usize = 255;

/// Appends a value. Characters that stores advise against, the slash (it would begin a directory) and
/// those of the delimiter stand there as `%` and two hexadecimal digits, as Hive and Spark write and read
/// them. Different values stay different.
pub(super) fn push_escaped(value: &str, delimiter: &str, out: &mut String) {
    for c in value.chars() {
        if c.is_control() || "/\\%\"#*<>?[]^`{|}~".contains(c) || delimiter.contains(c) {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                // Writing to a text cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
}

/// A value that may be no name by itself: nothing, or only dots.
pub(super) fn is_bare(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'.')
}

/// Whether a text can be the beginning of names: no empty part, no `.` and `..`, no control characters.
pub fn check_prefix(prefix: &str) -> Result<(), String> {
    if prefix.starts_with('/') {
        return Err("begins with a slash".to_owned());
    }
    check_segments(prefix.strip_suffix('/').unwrap_or(prefix))
}

/// Whether names like this one can be written.
pub(super) fn check_segments(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Ok(());
    }
    for segment in name.split('/') {
        if segment.is_empty() {
            return Err("has two slashes with nothing between them".to_owned());
        }
        if matches!(segment, "." | "..") {
            return Err(format!(
                "has the part {segment:?}, which would lead to another directory"
            ));
        }
        if segment.chars().any(char::is_control) {
            return Err("has a control character".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_part_of_the_name_and_stay_apart() {
        for (value, delimiter, expected) in [
            ("NL", "/", "NL"),
            ("a/b", "/", "a%2Fb"),
            ("../../etc", "/", "..%2F..%2Fetc"),
            ("100%", "/", "100%25"),
            ("a%2Fb", "/", "a%252Fb"),
            ("line\nbreak\u{7f}", "/", "line%0Abreak%7F"),
            ("événement-日本 1+1=2", "/", "événement-日本 1+1=2"),
            ("a/b|c", "|", "a%2Fb%7Cc"),
            ("a_b", "_", "a%5Fb"),
        ] {
            let mut out = String::new();
            push_escaped(value, delimiter, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn a_prefix_that_leads_elsewhere_is_refused() {
        for (prefix, problem) in [
            ("/a", "begins with a slash"),
            ("a//b", "has two slashes with nothing between them"),
            (
                "a/../b",
                "has the part \"..\", which would lead to another directory",
            ),
            (
                "./",
                "has the part \".\", which would lead to another directory",
            ),
            ("a\u{7}", "has a control character"),
        ] {
            assert_eq!(check_prefix(prefix), Err(problem.to_owned()), "{prefix:?}");
        }
        for prefix in ["", "a", "a/", "a/b=c/", "..a/x..", "événements/"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix:?}");
        }
    }
}
