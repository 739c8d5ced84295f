//! Dates in the patterns of Java's `SimpleDateFormat`, in UTC.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use penstock_connect::config::ConfigValue;

/// A date pattern such as `yyyy-MM-dd'T'HH:mm:ss.SSS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JavaDate {
    items: Vec<Item>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Literal(String),
    Field(char, usize),
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl ConfigValue for JavaDate {
    const KIND: &'static str = "a date pattern (yyyy-MM-dd'T'HH:mm:ss.SSS)";

    fn parse(text: &str) -> Result<Self, String> {
        let mut items: Vec<Item> = Vec::new();
        let literal = |items: &mut Vec<Item>, c: char| match items.last_mut() {
            Some(Item::Literal(text)) => text.push(c),
            _ => items.push(Item::Literal(c.into())),
        };
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\'' if chars.next_if_eq(&'\'').is_some() => literal(&mut items, '\''),
                '\'' => loop {
                    match chars.next() {
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => {
                            literal(&mut items, '\'')
                        }
                        Some('\'') => break,
                        Some(quoted) => literal(&mut items, quoted),
                        None => return Err("has a quote that does not end".into()),
                    }
                },
                'y' | 'M' | 'd' | 'H' | 'h' | 'm' | 's' | 'S' | 'a' | 'E' | 'D' | 'X' | 'Z'
                | 'z' => {
                    let mut count = 1;
                    while chars.next_if_eq(&c).is_some() {
                        count += 1;
                    }
                    items.push(Item::Field(c, count));
                }
                'Y' => return Err("has Y, the year of the week; use y".into()),
                c if c.is_ascii_alphabetic() => {
                    return Err(format!(
                        "has {c}, which is not supported; use y M d D E H h a m s S X Z z, and quotes for text"
                    ));
                }
                other => literal(&mut items, other),
            }
        }
        if items.is_empty() {
            return Err("is empty".into());
        }
        Ok(Self { items })
    }
}

impl JavaDate {
    /// The date at these milliseconds since the epoch; `None` if it is out of range.
    pub(crate) fn format(&self, millis: i64) -> Option<String> {
        let date = DateTime::<Utc>::from_timestamp_millis(millis)?;
        let mut out = String::new();
        for item in &self.items {
            match item {
                Item::Literal(text) => out.push_str(text),
                Item::Field(letter, count) => out.push_str(&format_field(*letter, *count, &date)?),
            }
        }
        Some(out)
    }

    /// Milliseconds since the epoch of a date; `None` if the text does not begin as the pattern says.
    /// What follows is left out of account, as in Java; numbers out of their range are not.
    pub(crate) fn parse_date(&self, text: &str) -> Option<i64> {
        let mut read = Reading::default();
        let mut rest = text;
        for (at, item) in self.items.iter().enumerate() {
            rest = match item {
                Item::Literal(literal) => rest.strip_prefix(literal.as_str())?,
                Item::Field(letter, count) => {
                    let touches = matches!(self.items.get(at + 1), Some(Item::Field(next, n)) if is_number(*next, *n));
                    read.field(*letter, *count, touches, rest)?
                }
            };
        }
        read.millis()
    }
}

fn is_number(letter: char, count: usize) -> bool {
    matches!(letter, 'y' | 'd' | 'H' | 'h' | 'm' | 's' | 'S' | 'D') || (letter == 'M' && count < 3)
}

fn format_field(letter: char, count: usize, date: &DateTime<Utc>) -> Option<String> {
    let padded = |number: i64| format!("{number:0count$}");
    let name = |name: &'static str, short: bool| {
        if short {
            name[..3].to_owned()
        } else {
            name.to_owned()
        }
    };
    Some(match letter {
        'y' if count == 2 => format!("{:02}", date.year().rem_euclid(100)),
        'y' => padded(date.year().into()),
        'M' if count >= 3 => name(MONTHS.get(date.month0() as usize)?, count == 3),
        'M' => padded(date.month().into()),
        'd' => padded(date.day().into()),
        'D' => padded(date.ordinal().into()),
        'E' => name(
            DAYS.get(date.weekday().num_days_from_monday() as usize)?,
            count <= 3,
        ),
        'H' => padded(date.hour().into()),
        'h' => padded(date.hour12().1.into()),
        'a' => if date.hour12().0 { "PM" } else { "AM" }.to_owned(),
        'm' => padded(date.minute().into()),
        's' => padded(date.second().into()),
        'S' => padded(date.timestamp_subsec_millis().into()),
        'X' => "Z".to_owned(),
        'Z' => "+0000".to_owned(),
        _ => "UTC".to_owned(),
    })
}

/// The fields of a date as they are read.
#[derive(Default)]
struct Reading {
    year: Option<i32>,
    month: Option<u32>,
    day: Option<u32>,
    day_of_year: Option<u32>,
    hour: u32,
    hour12: Option<u32>,
    afternoon: bool,
    minute: u32,
    second: u32,
    millis: u32,
    offset_minutes: i64,
}

impl Reading {
    /// Reads one field and returns what follows it.
    fn field<'a>(
        &mut self,
        letter: char,
        count: usize,
        touches: bool,
        text: &'a str,
    ) -> Option<&'a str> {
        if !is_number(letter, count) {
            return self.word(letter, text);
        }
        let most = if touches { count } else { 9 };
        let digits = text
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        let (number, rest) = text.split_at_checked(digits)?;
        let value: u32 = number.parse().ok()?;
        match letter {
            'y' if count == 2 && digits == 2 => self.year = Some(century(value)?),
            'y' => self.year = Some(i32::try_from(value).ok()?),
            'M' => self.month = Some(value),
            'd' => self.day = Some(value),
            'D' => self.day_of_year = Some(value),
            'H' => self.hour = value,
            'h' => self.hour12 = Some(value),
            'm' => self.minute = value,
            's' => self.second = value,
            _ => self.millis = value,
        }
        Some(rest)
    }

    fn word<'a>(&mut self, letter: char, text: &'a str) -> Option<&'a str> {
        match letter {
            'M' => {
                let (at, rest) = named(&MONTHS, text)?;
                self.month = Some(u32::try_from(at).ok()? + 1);
                Some(rest)
            }
            'E' => named(&DAYS, text).map(|(_, rest)| rest),
            'a' => {
                let (half, rest) = text.split_at_checked(2)?;
                self.afternoon = half.eq_ignore_ascii_case("pm");
                (self.afternoon || half.eq_ignore_ascii_case("am")).then_some(rest)
            }
            _ => self.zone(text),
        }
    }

    fn zone<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some(rest) = ["UTC", "GMT", "Z"]
            .iter()
            .find_map(|name| text.strip_prefix(name))
        {
            return Some(rest);
        }
        let sign = match text.as_bytes().first()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours: i64 = text.get(1..3)?.parse().ok()?;
        let rest = text.get(3..)?;
        let after_colon = rest.strip_prefix(':').unwrap_or(rest);
        let (minutes, rest) = match after_colon
            .get(..2)
            .and_then(|minutes| minutes.parse::<i64>().ok())
        {
            Some(minutes) => (minutes, after_colon.get(2..)?),
            None => (0, rest),
        };
        self.offset_minutes = sign * (hours * 60 + minutes);
        Some(rest)
    }

    fn millis(self) -> Option<i64> {
        let year = self.year.unwrap_or(1970);
        let day = match self.day_of_year {
            Some(ordinal) => NaiveDate::from_yo_opt(year, ordinal)?,
            None => NaiveDate::from_ymd_opt(year, self.month.unwrap_or(1), self.day.unwrap_or(1))?,
        };
        let hour = match self.hour12 {
            Some(hour @ 1..=12) => hour % 12 + if self.afternoon { 12 } else { 0 },
            Some(_) => return None,
            None => self.hour,
        };
        let date = day.and_hms_milli_opt(hour, self.minute, self.second, self.millis)?;
        Some(date.and_utc().timestamp_millis() - self.offset_minutes * 60_000)
    }
}

/// Two digits of a year name the one within 80 years before and 20 years after now.
fn century(two_digits: u32) -> Option<i32> {
    let last = Utc::now().year() + 19;
    let year = last - last.rem_euclid(100) + i32::try_from(two_digits).ok()?;
    Some(if year > last { year - 100 } else { year })
}

/// The name, whole or its first three letters, that the text begins with.
fn named<'a>(names: &[&str], text: &'a str) -> Option<(usize, &'a str)> {
    let begins = |name: &str| {
        text.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    names.iter().enumerate().find_map(|(at, name)| {
        let length = if begins(name) { name.len() } else { 3 };
        begins(&name[..length]).then(|| (at, &text[length..]))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn dates_are_written_and_read_as_java_does() {
        // 1 700 000 000 123 ms is Tuesday, 14 November 2023, 22:13:20.123 UTC.
        for (pattern, text, back) in [
            ("yyyyMMdd", "20231114", 1_699_920_000_000),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSX",
                "2023-11-14T22:13:20.123Z",
                1_700_000_000_123,
            ),
            (
                "EEE, d MMM yyyy HH:mm:ss Z",
                "Tue, 14 Nov 2023 22:13:20 +0000",
                1_700_000_000_000,
            ),
            (
                "EEEE MMMM dd yyyy hh 'o''clock' a",
                "Tuesday November 14 2023 10 o'clock PM",
                1_699_999_200_000,
            ),
            ("D/yyyy", "318/2023", 1_699_920_000_000),
            (
                "yy-M-d H:m:s.S z",
                "23-11-14 22:13:20.123 UTC",
                1_700_000_000_123,
            ),
            ("HH:mm", "22:13", 79_980_000),
        ] {
            let date = JavaDate::parse(pattern).unwrap();
            assert_eq!(date.format(1_700_000_000_123).unwrap(), text, "{pattern}");
            assert_eq!(date.parse_date(text), Some(back), "{pattern}");
        }
    }

    #[test]
    fn offsets_are_taken_off_and_nonsense_is_no_date() {
        let date = JavaDate::parse("yyyy-MM-dd HH:mmX").unwrap();
        assert_eq!(date.parse_date("1970-01-01 02:30+02:30"), Some(0));
        assert_eq!(date.parse_date("1970-01-01 00:00-01"), Some(3_600_000));
        for text in [
            "",
            "1970-13-01 00:00Z",
            "1970-02-30 00:00Z",
            "1970-01-01 00:00",
            "1970-01-01T00:00Z",
            "é",
        ] {
            assert_eq!(date.parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn patterns_that_cannot_be_held_are_refused() {
        for (pattern, message) in [
            ("YYYY", "has Y, the year of the week; use y"),
            ("yyyy'T", "has a quote that does not end"),
            (
                "ww",
                "has w, which is not supported; use y M d D E H h a m s S X Z z, and quotes for text",
            ),
            ("", "is empty"),
        ] {
            assert_eq!(JavaDate::parse(pattern).unwrap_err(), message);
        }
    }
}
