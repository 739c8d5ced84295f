//! What a request's headers say of its body.

use axum::http::{HeaderMap, header};
use penstock_registry::SchemaRef;

use crate::answer::Refusal;

/// How the body of a request is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    /// Avro's binary encoding, without a frame.
    AvroBinary,
    /// JSON text.
    Json,
}

const SCHEMA_REF: &str = "Strm-Schema-Ref";
const SERIALIZATION_TYPE: &str = "Strm-Serialization-Type";

impl BodyFormat {
    /// The format of an event: `Strm-Serialization-Type` decides where it is given, since its
    /// senders leave the content type at `application/octet-stream`.
    pub(crate) fn of_event(headers: &HeaderMap) -> Result<Self, Refusal> {
        refuse_content_encoding(headers)?;
        let content_type = text(headers, header::CONTENT_TYPE.as_str());
        let from_content_type = content_type.and_then(Self::of_media_type);
        let Some(from_content_type) = from_content_type else {
            return Err(Refusal::unsupported(
                "Content-Type has to be application/octet-stream or application/x-avro-binary (Avro binary), or \
                 application/json in UTF-8.",
            ));
        };
        match text(headers, SERIALIZATION_TYPE) {
            None => Ok(from_content_type),
            Some(value) => Self::of_media_type(value).ok_or_else(|| {
                Refusal::unsupported(format!(
                    "{SERIALIZATION_TYPE} has to be application/x-avro-binary or application/json."
                ))
            }),
        }
    }

    /// Refuses what is not JSON.
    pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Refusal> {
        refuse_content_encoding(headers)?;
        let content_type = text(headers, header::CONTENT_TYPE.as_str());
        match content_type.and_then(Self::of_media_type) {
            Some(Self::Json) => Ok(()),
            _ => Err(Refusal::unsupported(
                "Content-Type has to be application/json in UTF-8.",
            )),
        }
    }

    fn of_media_type(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next()?.to_ascii_lowercase();
        let foreign_charset = parts.any(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else {
                return false;
            };
            let value = value.trim_matches('"');
            name.eq_ignore_ascii_case("charset")
                && !value.eq_ignore_ascii_case("utf-8")
                && !value.eq_ignore_ascii_case("us-ascii")
        });
        match essence.as_str() {
            "application/octet-stream"
            | "avro/binary"
            | "application/avro"
            | "application/avro-binary"
            | "application/x-avro-binary"
            | "application/vnd.apache.avro" => Some(Self::AvroBinary),
            "application/json" | "text/json" if !foreign_charset => Some(Self::Json),
            _ => None,
        }
    }
}

/// The schema that the request names, if it names one.
pub(crate) fn schema_ref(headers: &HeaderMap) -> Result<Option<SchemaRef>, Refusal> {
    let mut given = headers.get_all(SCHEMA_REF).into_iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        // Which of them the event has nobody could tell.
        (Some(_), Some(_)) => Err(Refusal::invalid(format!(
            "The header {SCHEMA_REF} is there more than once."
        ))),
        (Some(value), None) => {
            let value = value.to_str().map_err(|_| {
                Refusal::invalid(format!(
                    "The header {SCHEMA_REF} holds characters that no schema reference has (expected handle/name/x.y.z)."
                ))
            })?;
            SchemaRef::parse(value.trim())
                .map(Some)
                .map_err(|error| Refusal::invalid(format!("The header {SCHEMA_REF}: {error}.")))
        }
    }
}

/// The refusal of an event of which nobody said what schema it has.
pub(crate) fn no_schema() -> Refusal {
    Refusal::invalid(format!(
        "The header {SCHEMA_REF} is missing: it names the schema of the event (handle/name/x.y.z)."
    ))
}

/// The length that the request announces.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH.as_str())?.parse().ok()
}

fn refuse_content_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    match text(headers, header::CONTENT_ENCODING.as_str()) {
        None => Ok(()),
        Some(value) if value.eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => Err(Refusal::unsupported(
            "Content-Encoding is not supported: send the event uncompressed.",
        )),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn content_type_and_serialization_type_tell_the_format() {
        use BodyFormat::{AvroBinary, Json};
        for (content_type, serialization, expected) in [
            ("application/octet-stream", None, Some(AvroBinary)),
            ("avro/binary", None, Some(AvroBinary)),
            ("application/x-avro-binary", None, Some(AvroBinary)),
            ("application/json", None, Some(Json)),
            ("Application/JSON; charset=\"UTF-8\"", None, Some(Json)),
            ("application/json; charset=latin1", None, None),
            ("text/plain", None, None),
            (
                "application/octet-stream",
                Some("application/x-avro-binary"),
                Some(AvroBinary),
            ),
            (
                "application/octet-stream",
                Some("application/json"),
                Some(Json),
            ),
            ("application/octet-stream", Some("thrift"), None),
        ] {
            let mut given = headers(&[("content-type", content_type)]);
            if let Some(value) = serialization {
                given.insert(SERIALIZATION_TYPE, value.parse().unwrap());
            }
            let found = BodyFormat::of_event(&given);
            assert_eq!(found.ok(), expected, "{content_type} {serialization:?}");
        }
        assert_eq!(
            BodyFormat::of_event(&HeaderMap::new()).unwrap_err().status,
            415
        );
    }

    #[test]
    fn compressed_bodies_are_not_taken_for_events() {
        let given = headers(&[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ]);
        assert_eq!(BodyFormat::of_event(&given).unwrap_err().status, 415);
    }

    #[test]
    fn a_header_that_is_no_reference_or_several_is_named() {
        assert_eq!(schema_ref(&HeaderMap::new()).unwrap(), None);
        let mut twice = headers(&[(SCHEMA_REF, "a/b/1.0.0")]);
        twice.append(SCHEMA_REF, "a/b/1.0.1".parse().unwrap());
        let refusal = schema_ref(&twice).unwrap_err();
        assert_eq!(
            refusal.text,
            "The header Strm-Schema-Ref is there more than once."
        );
        let refusal = schema_ref(&headers(&[(SCHEMA_REF, "demo")])).unwrap_err();
        assert_eq!(
            refusal.text,
            "The header Strm-Schema-Ref: 'demo' is not a schema reference: it has no name before the version (expected \
             handle/name/x.y.z)."
        );
    }
}
