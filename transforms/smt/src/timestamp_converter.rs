//! `TimestampConverter`: points in time as text, as Unix time, and as Avro's types become one another.

use std::borrow::Cow;

use penstock_connect::{Config, Problem, Settings, choice, config};
use penstock_formats::{FieldPath, Scalar};
use serde_json::{Value as Json, json};

use crate::convert::{Conversion, Converter, Logical};
use crate::java_date::JavaDate;
use crate::part::Part;

const DAY: i64 = 86_400_000;

choice! {
    /// What a point in time becomes.
    pub(crate) enum TargetType {
        /// Text in `format`.
        String = "string",
        /// A number in `unix.precision`.
        Unix = "unix",
        /// Days since the epoch.
        Date = "date",
        /// Milliseconds since midnight.
        Time = "time",
        /// Milliseconds since the epoch.
        Timestamp = "timestamp",
    }
}

choice! {
    /// Unit of Unix time.
    pub(crate) enum Precision {
        /// Seconds.
        Seconds = "seconds",
        /// Milliseconds.
        Milliseconds = "milliseconds",
        /// Microseconds.
        Microseconds = "microseconds",
        /// Nanoseconds.
        Nanoseconds = "nanoseconds",
    }
}

config! {
    /// Converts a point in time, in a field or as the whole key or value, between text, Unix time and
    /// dates, times and timestamps (in JSON: days, milliseconds of the day, milliseconds).
    #[check(check)]
    pub(crate) struct TimestampConverterConfig {
        /// The field; without it, the whole is converted.
        "field" => field: Option<FieldPath>,
        /// `string`, `unix`, `Date`, `Time` or `Timestamp`.
        "target.type" => target: TargetType,
        /// Pattern of the text, as Java's SimpleDateFormat, in UTC.
        "format" => format: Option<JavaDate>,
        /// Unit of Unix time: `seconds`, `milliseconds`, `microseconds` or `nanoseconds`.
        "unix.precision" => precision: Precision = "milliseconds",
    }
}

fn check(config: &TimestampConverterConfig) -> Vec<(&'static str, String)> {
    if config.target == TargetType::String && config.format.is_none() {
        vec![("format", "is required with target.type=string".to_owned())]
    } else {
        vec![]
    }
}

pub(crate) struct TimestampConverter {
    target: TargetType,
    format: Option<JavaDate>,
    precision: Precision,
}

impl TimestampConverter {
    pub(crate) fn from_settings(
        part: Part,
        settings: Settings,
    ) -> Result<Converter<Self>, Vec<Problem>> {
        let config = TimestampConverterConfig::read_all(settings)?;
        let conversion = Self {
            target: config.target,
            format: config.format,
            precision: config.precision,
        };
        Ok(Converter::new(
            part,
            config.field.into_iter().collect(),
            conversion,
        ))
    }

    /// Milliseconds since the epoch.
    fn read(&self, value: &Scalar<'_>, meaning: Option<Logical>) -> Result<i64, String> {
        let out_of_range = || "is a time out of range".to_owned();
        match value {
            Scalar::Str(text) => {
                let format = self
                    .format
                    .as_ref()
                    .ok_or("is text, and there is no format to read it by")?;
                format
                    .parse_date(text)
                    .ok_or_else(|| "is not a date as the format says".to_owned())
            }
            Scalar::Int(number) => match meaning {
                Some(Logical::TimestampMillis | Logical::TimeMillis) => Ok(*number),
                Some(Logical::TimestampMicros | Logical::TimeMicros) => Ok(number.div_euclid(1000)),
                Some(Logical::Date) => number.checked_mul(DAY).ok_or_else(out_of_range),
                None => match self.precision {
                    Precision::Seconds => number.checked_mul(1000).ok_or_else(out_of_range),
                    Precision::Milliseconds => Ok(*number),
                    Precision::Microseconds => Ok(number.div_euclid(1000)),
                    Precision::Nanoseconds => Ok(number.div_euclid(1_000_000)),
                },
            },
            other => Err(format!("is {} and no point in time", other.kind())),
        }
    }
}

impl Conversion for TimestampConverter {
    fn convert(
        &self,
        _field: usize,
        value: &Scalar<'_>,
        meaning: Option<Logical>,
    ) -> Result<Scalar<'static>, String> {
        let millis = self.read(value, meaning)?;
        let out_of_range = || "is a time out of range".to_owned();
        Ok(match self.target {
            TargetType::String => {
                let text = self
                    .format
                    .as_ref()
                    .and_then(|format| format.format(millis))
                    .ok_or_else(out_of_range)?;
                Scalar::Str(Cow::Owned(text))
            }
            TargetType::Unix => Scalar::Int(match self.precision {
                Precision::Seconds => millis.div_euclid(1000),
                Precision::Milliseconds => millis,
                Precision::Microseconds => millis.checked_mul(1000).ok_or_else(out_of_range)?,
                Precision::Nanoseconds => millis.checked_mul(1_000_000).ok_or_else(out_of_range)?,
            }),
            TargetType::Date => Scalar::Int(millis.div_euclid(DAY)),
            TargetType::Time => Scalar::Int(millis.rem_euclid(DAY)),
            TargetType::Timestamp => Scalar::Int(millis),
        })
    }

    fn avro_type(&self, _field: usize) -> Json {
        match self.target {
            TargetType::String => json!("string"),
            TargetType::Unix => json!("long"),
            TargetType::Date => json!({"type": "int", "logicalType": "date"}),
            TargetType::Time => json!({"type": "int", "logicalType": "time-millis"}),
            TargetType::Timestamp => json!({"type": "long", "logicalType": "timestamp-millis"}),
        }
    }
}
