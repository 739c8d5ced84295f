//! Joda-Time's patterns of dates and times, as `path.format` has them.
//!
//! Letters: <https://www.joda.org/joda-time/key_format.html>. `z` and `Z` (time zones) are refused:
//! what they write tells apart what is one hour of the day.

use std::fmt::Write;

use chrono::{Datelike, NaiveDateTime, Timelike};
use penstock_connect::ConfigValue;

/// A pattern such as `'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A letter, and how often it stands there.
    Field(u8, usize),
}

/// The letters that are understood.
const LETTERS: &[u8] = b"GCYxweEyDMdaKhHkmsS";

/// More digits than any field has.
const MAX_COUNT: usize = 12;

impl Pattern {
    /// Appends what the pattern makes of a date and time.
    pub fn write(&self, time: &NaiveDateTime, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(letter, count) => write_field(*letter, *count, time, out),
            }
        }
    }

    /// The pattern without this text at its end.
    pub(crate) fn without_end(&self, end: &str) -> Self {
        let mut pieces = self.pieces.clone();
        if let Some(Piece::Text(text)) = pieces.last_mut()
            && let Some(rest) = text.strip_suffix(end)
        {
            *text = rest.to_owned();
        }
        Self { pieces }
    }

    /// Names of months, days, eras or halves of the day stand in it: they are English.
    pub fn has_names(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Text(_) => false,
            Piece::Field(b'M', count) => *count > 2,
            Piece::Field(letter, _) => matches!(letter, b'E' | b'a' | b'G'),
        })
    }
}

impl ConfigValue for Pattern {
    const KIND: &'static str = "a Joda pattern (`'year'=YYYY/'month'=MM`)";

    fn parse(text: &str) -> Result<Self, String> {
        let mut pieces: Vec<Piece> = Vec::new();
        let push_text = |pieces: &mut Vec<Piece>, c: char| match pieces.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => pieces.push(Piece::Text(c.to_string())),
        };
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => push_text(&mut pieces, '\''),
                '\'' => loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => {
                            push_text(&mut pieces, '\'');
                        }
                        Some('\'') => break,
                        Some(c) => push_text(&mut pieces, c),
                        None => return Err("has a ' without the one that closes it".to_owned()),
                    }
                },
                'z' | 'Z' => {
                    return Err(format!(
                        "has the letter {c}: time zones in names are not supported"
                    ));
                }
                c if c.is_ascii_alphabetic() => {
                    let letter = c as u8;
                    if !LETTERS.contains(&letter) {
                        return Err(format!(
                            "has the letter {c}, which is no part of a date; text stands between \
                             single quotes ('year'=YYYY)"
                        ));
                    }
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    if count > MAX_COUNT {
                        return Err(format!("has the letter {c} {count} times"));
                    }
                    pieces.push(Piece::Field(letter, count));
                }
                c => push_text(&mut pieces, c),
            }
        }
        if pieces.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(Self { pieces })
    }
}

fn write_field(letter: u8, count: usize, time: &NaiveDateTime, out: &mut String) {
    let mut number = |value: i64| {
        // Writing to a text cannot fail.
        let _ = write!(out, "{value:0count$}");
    };
    let hour = i64::from(time.hour());
    let of_era = |year: i32| i64::from(if year > 0 { year } else { 1 - year });
    match letter {
        b'C' => number(of_era(time.year()) / 100),
        b'Y' | b'y' | b'x' => {
            let year = match letter {
                b'Y' => of_era(time.year()),
                b'x' => time.iso_week().year().into(),
                _ => time.year().into(),
            };
            number(if count == 2 {
                year.rem_euclid(100)
            } else {
                year
            });
        }
        b'w' => number(time.iso_week().week().into()),
        b'e' => number(time.weekday().number_from_monday().into()),
        b'D' => number(time.ordinal().into()),
        b'M' if count <= 2 => number(time.month().into()),
        b'd' => number(time.day().into()),
        b'K' => number(hour % 12),
        b'h' => number((hour + 11) % 12 + 1),
        b'H' => number(hour),
        b'k' => number((hour + 23) % 24 + 1),
        b'm' => number(time.minute().into()),
        b's' => number(time.second().into()),
        b'S' => {
            let digits = format!("{:09}", time.nanosecond() % 1_000_000_000);
            out.push_str(digits.get(..count).unwrap_or(&digits));
            out.extend(std::iter::repeat_n('0', count.saturating_sub(9)));
        }
        b'G' => out.push_str(if time.year() > 0 { "AD" } else { "BC" }),
        b'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
        b'E' => {
            let form = if count > 3 { "%A" } else { "%a" };
            let _ = write!(out, "{}", time.format(form));
        }
        b'M' => {
            let form = if count > 3 { "%B" } else { "%b" };
            let _ = write!(out, "{}", time.format(form));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use chrono::NaiveDate;

    fn written(pattern: &str, time: NaiveDateTime) -> String {
        let mut out = String::new();
        Pattern::parse(pattern).unwrap().write(&time, &mut out);
        out
    }

    #[test]
    fn every_letter_writes_what_joda_time_writes() {
        // A Friday in the 53rd week of the year before.
        let time = NaiveDate::from_ymd_opt(2021, 1, 1)
            .and_then(|day| day.and_hms_milli_opt(0, 5, 9, 70))
            .unwrap();
        for (pattern, expected) in [
            (
                "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH",
                "year=2021/month=01/day=01/hour=00",
            ),
            ("yyyy-MM-dd", "2021-01-01"),
            ("yy YY xx y", "21 21 20 2021"),
            ("yyyyyy", "002021"),
            ("xxxx-'W'ww-e", "2020-W53-5"),
            ("D DDD", "1 001"),
            ("M MM MMM MMMM", "1 01 Jan January"),
            ("E EEE EEEE", "Fri Fri Friday"),
            ("H K h k HH KK hh kk a", "0 0 12 24 00 00 12 24 AM"),
            ("m:s:S SS SSS SSSSSS", "5:9:0 07 070 070000"),
            ("SSSSSSSSSSS", "07000000000"),
            ("C G", "20 AD"),
            ("''yyyy''", "'2021'"),
            ("'o''clock' HH", "o'clock 00"),
            ("dt=yyyy".replace("dt", "'dt'").as_str(), "dt=2021"),
        ] {
            assert_eq!(written(pattern, time), expected, "{pattern}");
        }
        let afternoon = time + chrono::TimeDelta::hours(13);
        assert_eq!(written("H K h k a", afternoon), "13 1 1 13 PM");
        let noon = time + chrono::TimeDelta::hours(12);
        assert_eq!(written("K h", noon), "0 12");
    }

    #[test]
    fn letters_that_mean_nothing_are_refused_by_name() {
        for (pattern, message) in [
            (
                "year=YYYY",
                "has the letter r, which is no part of a date; text stands between single quotes ('year'=YYYY)",
            ),
            (
                "yyyy Z",
                "has the letter Z: time zones in names are not supported",
            ),
            (
                "yyyy z",
                "has the letter z: time zones in names are not supported",
            ),
            ("'year=yyyy", "has a ' without the one that closes it"),
            ("ddddddddddddd", "has the letter d 13 times"),
            ("", "is empty"),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap_err(), message, "{pattern}");
        }
    }

    #[test]
    fn names_in_a_pattern_are_known() {
        for (pattern, has) in [
            ("yyyy/MM", false),
            ("MMM", true),
            ("E", true),
            ("hh a", true),
        ] {
            assert_eq!(
                Pattern::parse(pattern).unwrap().has_names(),
                has,
                "{pattern}"
            );
        }
    }
}
