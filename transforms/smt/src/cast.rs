//! `Cast`: numbers, booleans and text become one another.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use penstock_connect::config::{ConfigValue, Names};
use penstock_connect::{Config, Problem, Settings, config};
use penstock_formats::{FieldPath, Scalar};
use serde_json::{Value as Json, json};

use crate::convert::{Conversion, Converter, Logical};
use crate::java_date::JavaDate;
use crate::part::Part;

config! {
    /// Makes numbers, booleans and text of fields, or of the whole key or value, another type. Null
    /// stays null. Top-level fields of Avro records get their new type in the schema.
    pub(crate) struct CastConfig {
        /// `field:type,…`, or one type for the whole: int8, int16, int32, int64, float32, float64, boolean, string.
        "spec" => spec: Spec,
    }
}

/// A type to cast to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
}

impl Target {
    fn parse(word: &str) -> Result<Self, String> {
        Ok(match word.to_ascii_lowercase().as_str() {
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float32" => Self::Float32,
            "float64" => Self::Float64,
            "boolean" => Self::Boolean,
            "string" => Self::String,
            _ => {
                return Err(format!(
                    "has the type {word:?}; use int8, int16, int32, int64, float32, float64, boolean or string"
                ));
            }
        })
    }
}

/// Fields and their types; or one type and no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    paths: Vec<FieldPath>,
    targets: Vec<Target>,
}

impl ConfigValue for Spec {
    const KIND: &'static str = "field:type,… or a type";

    fn parse(text: &str) -> Result<Self, String> {
        if !text.contains([':', ',']) {
            return Ok(Self {
                paths: vec![],
                targets: vec![Target::parse(text)?],
            });
        }
        let mut spec = Self {
            paths: vec![],
            targets: vec![],
        };
        for item in Names::parse(text)?.0 {
            let (path, word) = item
                .rsplit_once(':')
                .ok_or_else(|| format!("{item:?} is not field:type"))?;
            let path = FieldPath::parse(path.trim()).map_err(|error| error.to_string())?;
            if spec.paths.contains(&path) {
                return Err(format!("names {path} twice"));
            }
            spec.paths.push(path);
            spec.targets.push(Target::parse(word.trim())?);
        }
        Ok(spec)
    }
}

/// A cast of fields, or of the whole.
pub(crate) struct Cast {
    targets: Vec<Target>,
}

impl Cast {
    pub(crate) fn from_settings(
        part: Part,
        settings: Settings,
    ) -> Result<Converter<Self>, Vec<Problem>> {
        let spec = CastConfig::read_all(settings)?.spec;
        Ok(Converter::new(
            part,
            spec.paths,
            Self {
                targets: spec.targets,
            },
        ))
    }
}

/// As Java narrows: the low bits of integers; floating-point numbers first to the nearest `int` or
/// `long` toward zero.
fn integer(value: &Scalar<'_>, target: Target) -> Result<i64, String> {
    let number = match value {
        Scalar::Bool(value) => i64::from(*value),
        Scalar::Int(number) => *number,
        Scalar::Double(number) if target == Target::Int64 => *number as i64,
        Scalar::Double(number) => i64::from(*number as i32),
        Scalar::Str(text) => {
            let parsed: i64 = text
                .parse()
                .map_err(|_| "is text that is no whole number")?;
            let fits = match target {
                Target::Int8 => i8::try_from(parsed).is_ok(),
                Target::Int16 => i16::try_from(parsed).is_ok(),
                Target::Int32 => i32::try_from(parsed).is_ok(),
                _ => true,
            };
            if !fits {
                return Err("is text of a number that is too large".to_owned());
            }
            parsed
        }
        Scalar::Null | Scalar::Bytes(_) => {
            return Err(format!("is {} and cannot become a number", value.kind()));
        }
    };
    Ok(match target {
        Target::Int8 => i64::from(number as i8),
        Target::Int16 => i64::from(number as i16),
        Target::Int32 => i64::from(number as i32),
        _ => number,
    })
}

fn floating(value: &Scalar<'_>) -> Result<f64, String> {
    Ok(match value {
        Scalar::Bool(value) => f64::from(u8::from(*value)),
        Scalar::Int(number) => *number as f64,
        Scalar::Double(number) => *number,
        Scalar::Str(text) => text
            .trim()
            .parse()
            .map_err(|_| "is text that is no number")?,
        Scalar::Null | Scalar::Bytes(_) => {
            return Err(format!("is {} and cannot become a number", value.kind()));
        }
    })
}

/// The `double` that is written as the nearest `float` is.
fn as_float32(number: f64) -> f64 {
    (number as f32).to_string().parse().unwrap_or(number)
}

fn boolean(value: &Scalar<'_>) -> Result<bool, String> {
    Ok(match value {
        Scalar::Bool(value) => *value,
        Scalar::Int(number) => *number != 0,
        Scalar::Double(number) => *number as i64 != 0,
        Scalar::Str(text) => text.eq_ignore_ascii_case("true"),
        Scalar::Null | Scalar::Bytes(_) => {
            return Err(format!("is {} and cannot become a boolean", value.kind()));
        }
    })
}

fn text(value: &Scalar<'_>, meaning: Option<Logical>) -> Result<String, String> {
    Ok(match (value, meaning) {
        (Scalar::Int(number), Some(meaning)) => date_text(*number, meaning)?,
        (Scalar::Int(number), None) => number.to_string(),
        (Scalar::Bool(value), _) => value.to_string(),
        (Scalar::Double(number), _) => java_double(*number),
        (Scalar::Str(text), _) => text.to_string(),
        (Scalar::Bytes(bytes), _) => STANDARD.encode(bytes),
        (Scalar::Null, _) => return Err("is null".to_owned()),
    })
}

/// As Java's `Double.toString`.
fn java_double(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    if !number.is_finite() {
        let sign = if number < 0.0 { "-" } else { "" };
        return if number.is_nan() {
            "NaN".to_owned()
        } else {
            format!("{sign}Infinity")
        };
    }
    let written = format!("{number:E}");
    match written.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => written,
    }
}

/// Dates, times and timestamps as Kafka Connect writes them.
fn date_text(number: i64, meaning: Logical) -> Result<String, String> {
    let (pattern, millis) = match meaning {
        Logical::Date => (
            "yyyy-MM-dd",
            number
                .checked_mul(86_400_000)
                .ok_or("is a date out of range")?,
        ),
        Logical::TimeMillis => ("HH:mm:ss.SSS'Z'", number),
        Logical::TimeMicros => ("HH:mm:ss.SSS'Z'", number.div_euclid(1000)),
        Logical::TimestampMillis => ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", number),
        Logical::TimestampMicros => ("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'", number.div_euclid(1000)),
    };
    JavaDate::parse(pattern)?
        .format(millis)
        .ok_or_else(|| "is a date out of range".to_owned())
}

impl Conversion for Cast {
    fn convert(
        &self,
        field: usize,
        value: &Scalar<'_>,
        meaning: Option<Logical>,
    ) -> Result<Scalar<'static>, String> {
        let target = self.targets[field];
        Ok(match target {
            Target::Int8 | Target::Int16 | Target::Int32 | Target::Int64 => {
                Scalar::Int(integer(value, target)?)
            }
            Target::Float32 => Scalar::Double(as_float32(floating(value)?)),
            Target::Float64 => Scalar::Double(floating(value)?),
            Target::Boolean => Scalar::Bool(boolean(value)?),
            Target::String => Scalar::Str(Cow::Owned(text(value, meaning)?)),
        })
    }

    fn avro_type(&self, field: usize) -> Json {
        json!(match self.targets[field] {
            Target::Int8 | Target::Int16 | Target::Int32 => "int",
            Target::Int64 => "long",
            Target::Float32 => "float",
            Target::Float64 => "double",
            Target::Boolean => "boolean",
            Target::String => "string",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn doubles_are_written_as_java_writes_them() {
        for (number, written) in [
            (1.0, "1.0"),
            (-0.5, "-0.5"),
            (0.0, "0.0"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (1.25e-4, "1.25E-4"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(java_double(number), written);
        }
    }

    #[test]
    fn specs_name_fields_or_the_whole() {
        assert!(Spec::parse("int8").unwrap().paths.is_empty());
        assert_eq!(
            Spec::parse("a.b:string, c:INT64").unwrap().targets,
            [Target::String, Target::Int64]
        );
        for text in ["", "a", "a:b", "a:int8,a:int16", "a:int8,b", ":int8"] {
            assert!(Spec::parse(text).is_err(), "{text}");
        }
    }
}
