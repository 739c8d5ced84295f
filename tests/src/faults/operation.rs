//! What a request does to an object store: <https://docs.aws.amazon.com/AmazonS3/latest/API/>,
//! <https://cloud.google.com/storage/docs/xml-api>, <https://cloud.google.com/storage/docs/json_api> and
//! <https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api>.

use axum::http::{HeaderMap, Method, Uri, header};
use percent_encoding::percent_decode_str;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Writes a whole object.
    Put,
    /// Begins an upload in parts (S3: multipart, GCS: multipart or resumable).
    Create,
    /// Sends a part.
    Part,
    /// Ends an upload, with which the object appears.
    Complete,
    /// Gives an upload up.
    Abort,
    /// Reads an object or what is known of it.
    Get,
    /// Lists objects or uploads.
    List,
    /// Removes objects.
    Delete,
    /// Anything else.
    Other,
}

/// A request as plans see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) operation: Operation,
    /// Name of the object, without the bucket.
    pub(super) object: Option<String>,
}

impl Request {
    pub(super) fn read(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let query = uri.query().unwrap_or_default();
        let path = uri.path();
        if let Some(rest) = path.strip_prefix("/upload/storage/v1/b/") {
            return Self {
                operation: json_upload(method, query, headers),
                object: value(query, "name").or_else(|| after_o(rest)),
            };
        }
        for prefix in ["/storage/v1/b", "/download/storage/v1/b"] {
            if let Some(rest) = path.strip_prefix(prefix) {
                let object = after_o(rest);
                return Self {
                    operation: json_call(method, rest, object.is_some()),
                    object,
                };
            }
        }
        // An emulator of Azure has the account before the container.
        let azure = headers.contains_key("x-ms-version");
        let mut segments = path
            .trim_start_matches('/')
            .splitn(if azure { 3 } else { 2 }, '/');
        let object = segments
            .nth(if azure { 2 } else { 1 })
            .map(decode)
            .filter(|object| !object.is_empty());
        let operation = if azure { blob } else { xml };
        Self {
            operation: operation(method, query, object.is_some()),
            object,
        }
    }
}

/// Azure's blobs. An upload in blocks begins with its first block.
fn blob(method: &Method, query: &str, has_object: bool) -> Operation {
    let what = value(query, "comp");
    match (method.as_str(), what.as_deref()) {
        ("PUT", Some("block")) => Operation::Part,
        ("PUT", Some("blocklist")) => Operation::Complete,
        ("PUT", None) if has_object => Operation::Put,
        ("GET" | "HEAD", None) if has_object => Operation::Get,
        ("GET", Some("list")) => Operation::List,
        ("DELETE", None) if has_object => Operation::Delete,
        _ => Operation::Other,
    }
}

/// S3, and the XML interface of GCS.
fn xml(method: &Method, query: &str, has_object: bool) -> Operation {
    let has = |key| value(query, key).is_some();
    match (method.as_str(), has("uploadId"), has("uploads")) {
        ("POST", false, true) => Operation::Create,
        ("PUT", true, _) => Operation::Part,
        ("POST", true, _) => Operation::Complete,
        ("DELETE", true, _) => Operation::Abort,
        ("PUT", ..) if has_object => Operation::Put,
        ("GET" | "HEAD", ..) if !has_object => Operation::List,
        ("GET" | "HEAD", false, false) => Operation::Get,
        ("DELETE", ..) if has_object => Operation::Delete,
        ("POST", ..) if has("delete") => Operation::Delete,
        _ => Operation::Other,
    }
}

/// Uploads over the JSON interface of GCS. The request that says how long the object is ends it.
fn json_upload(method: &Method, query: &str, headers: &HeaderMap) -> Operation {
    let range = headers
        .get(header::CONTENT_RANGE)
        .and_then(|range| range.to_str().ok());
    match (method.as_str(), range) {
        ("POST", _) if value(query, "uploadType").is_some_and(|kind| kind == "resumable") => {
            Operation::Create
        }
        ("POST", _) => Operation::Put,
        ("PUT", Some("bytes */*")) => Operation::Other,
        ("PUT", Some(range)) if range.ends_with("/*") => Operation::Part,
        ("PUT", _) => Operation::Complete,
        ("DELETE", _) => Operation::Abort,
        _ => Operation::Other,
    }
}

fn json_call(method: &Method, rest: &str, has_object: bool) -> Operation {
    match method.as_str() {
        "GET" | "HEAD" if has_object => Operation::Get,
        "GET" if rest.ends_with("/o") => Operation::List,
        "DELETE" if has_object => Operation::Delete,
        _ => Operation::Other,
    }
}

/// The name in `bucket/o/name`.
fn after_o(rest: &str) -> Option<String> {
    let (_, object) = rest.split_once("/o/")?;
    Some(decode(object)).filter(|object| !object.is_empty())
}

fn value(query: &str, key: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == key).then(|| decode(value))
    })
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_each_interface_are_told_apart() {
        use Operation::{Abort, Complete, Create, Delete, Get, List, Other, Part, Put};
        const UPLOAD: &str = "/upload/storage/v1/b/lake/o";
        let cases: &[(&str, &str, &str, Operation, Option<&str>)] = &[
            ("PUT", "/lake/a/b%20c.json", "", Put, Some("a/b c.json")),
            ("POST", "/lake/a?uploads", "", Create, Some("a")),
            ("POST", "/lake/a?uploads=", "", Create, Some("a")),
            (
                "PUT",
                "/lake/a?partNumber=1&uploadId=x",
                "",
                Part,
                Some("a"),
            ),
            ("POST", "/lake/a?uploadId=x", "", Complete, Some("a")),
            ("DELETE", "/lake/a?uploadId=x", "", Abort, Some("a")),
            ("GET", "/lake?list-type=2&prefix=a", "", List, None),
            ("GET", "/lake/?uploads", "", List, None),
            ("HEAD", "/lake/a", "", Get, Some("a")),
            ("DELETE", "/lake/a", "", Delete, Some("a")),
            ("POST", "/lake?delete", "", Delete, None),
            ("PUT", "/lake", "", Other, None),
            (
                "POST",
                &format!("{UPLOAD}?uploadType=media&name=a%2Fb"),
                "",
                Put,
                Some("a/b"),
            ),
            (
                "POST",
                &format!("{UPLOAD}?uploadType=resumable&name=a"),
                "",
                Create,
                Some("a"),
            ),
            (
                "PUT",
                &format!("{UPLOAD}?upload_id=x&name=a"),
                "bytes 0-9/*",
                Part,
                Some("a"),
            ),
            (
                "PUT",
                &format!("{UPLOAD}?upload_id=x&name=a"),
                "bytes 10-19/20",
                Complete,
                Some("a"),
            ),
            (
                "PUT",
                &format!("{UPLOAD}?upload_id=x&name=a"),
                "bytes */*",
                Other,
                Some("a"),
            ),
            ("DELETE", &format!("{UPLOAD}?upload_id=x"), "", Abort, None),
            ("GET", "/storage/v1/b/lake/o?prefix=a", "", List, None),
            ("GET", "/storage/v1/b/lake/o/a%2Fb", "", Get, Some("a/b")),
            (
                "GET",
                "/download/storage/v1/b/lake/o/a?alt=media",
                "",
                Get,
                Some("a"),
            ),
            ("DELETE", "/storage/v1/b/lake/o/a", "", Delete, Some("a")),
            ("POST", "/storage/v1/b", "", Other, None),
        ];
        for (method, uri, range, operation, object) in cases {
            let mut headers = HeaderMap::new();
            if !range.is_empty() {
                headers.insert(header::CONTENT_RANGE, range.parse().unwrap());
            }
            let request = Request::read(&method.parse().unwrap(), &uri.parse().unwrap(), &headers);
            let expected = Request {
                operation: *operation,
                object: object.map(str::to_owned),
            };
            assert_eq!(request, expected, "{method} {uri} {range}");
        }
    }

    #[test]
    fn requests_to_azure_are_told_apart() {
        use Operation::{Complete, Get, List, Other, Part, Put};
        let headers = HeaderMap::from_iter([(
            "x-ms-version".parse().unwrap(),
            "2023-11-03".parse().unwrap(),
        )]);
        for (method, uri, operation, object) in [
            ("PUT", "/account/lake/a/b%20c", Put, Some("a/b c")),
            (
                "PUT",
                "/account/lake/a?comp=block&blockid=x",
                Part,
                Some("a"),
            ),
            ("PUT", "/account/lake/a?comp=blocklist", Complete, Some("a")),
            ("HEAD", "/account/lake/a", Get, Some("a")),
            (
                "GET",
                "/account/lake?restype=container&comp=list",
                List,
                None,
            ),
            ("PUT", "/account/lake?restype=container", Other, None),
        ] {
            let request = Request::read(&method.parse().unwrap(), &uri.parse().unwrap(), &headers);
            let object = object.map(str::to_owned);
            assert_eq!(request, Request { operation, object }, "{method} {uri}");
        }
    }
}
