//! What stores answer when they refuse, in words that say what to do.

use std::io::{self, ErrorKind};

use object_store::Error as StoreError;
use object_store::client::{HttpError, HttpErrorKind};
use penstock_connect::{Error, Retry};

use super::role::RoleError;

const ANOTHER_REGION: &str = "the bucket is in another region; correct the region";
const NO_BUCKET: &str = "there is no such bucket; make it, or correct its name";
const NO_ANSWER: &str = "no answer came in the time of store.timeout.ms";
const NO_CONTAINER: &str = "there is no such container; make it, or correct its name";

/// What the library makes of a redirection without an address, as S3 answers for a bucket of another
/// region.
const BARE_REDIRECT: &str = "redirect without LOCATION";

/// How a security token service answers when it refuses; a store's answer has no such frame.
pub(super) const TOKEN_SERVICE: &str = "<ErrorResponse";

/// What advice calls the credentials; messages say behind it where they come from.
const CREDENTIALS: &str = "these credentials";

/// Codes of S3's, GCS's and Azure's XML answers, what they mean, and whether that may pass by itself.
const CODES: &[(&[&str], Retry, &str)] = &[
    (&["NoSuchBucket"], Retry::Never, NO_BUCKET),
    (&["ContainerNotFound"], Retry::Never, NO_CONTAINER),
    (
        &[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidToken",
            "InvalidTokenId",
            "AuthenticationFailed",
            "InvalidSecurity",
        ],
        Retry::Never,
        "the store does not know these credentials; correct them",
    ),
    (
        &["ExpiredToken", "TokenRefreshRequired"],
        Retry::Backoff,
        "these credentials have run out; renew them",
    ),
    (
        &[
            "AccessDenied",
            "AllAccessDisabled",
            "AuthorizationPermissionMismatch",
        ],
        Retry::Never,
        "these credentials may not do that; grant them the right (to write objects and to abort uploads, or to list and read)",
    ),
    (
        &["AuthorizationFailure"],
        Retry::Never,
        "the store does not let these credentials in; correct them, or let this machine through the account's \
         firewall",
    ),
    (
        &[
            "AuthorizationHeaderMalformed",
            "PermanentRedirect",
            "IllegalLocationConstraintException",
        ],
        Retry::Never,
        ANOTHER_REGION,
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        Retry::Backoff,
        "this machine's clock and the store's differ by more than 15 minutes; set the clock",
    ),
    (
        &["EntityTooLarge", "RequestBodyTooLarge", "KeyTooLongError"],
        Retry::Never,
        "the object or its name is larger than the store takes; let files end earlier (rotate.bytes)",
    ),
    (
        &["InvalidBucketName", "InvalidResourceName"],
        Retry::Never,
        "that is no name of a bucket; correct it",
    ),
];

/// Whether the store of that name is a container on Azure.
pub(super) fn is_azure(name: &str) -> bool {
    name.starts_with("az://")
}

/// The bucket is not there.
pub(super) fn no_bucket(name: &str) -> Error {
    let advice = if is_azure(name) {
        NO_CONTAINER
    } else {
        NO_BUCKET
    };
    Error::never(format!("{name} cannot be written: {advice}"))
}

/// The store takes objects and does not say which are there: after a kill, and before a large one appears,
/// that has to be known.
pub(super) fn no_reading(name: &str, origin: &str) -> Error {
    Error::never(format!(
        "{name} cannot be written: {CREDENTIALS} ({origin}) may write, and may not ask what is there; grant them the \
         right to list and to read as well"
    ))
}

/// `origin`: where the credentials come from.
pub(super) fn explain(name: &str, origin: &str, what: &str, error: StoreError) -> Error {
    let text = chain(&error);
    let with_origin =
        |advice: &str| advice.replace(CREDENTIALS, &format!("{CREDENTIALS} ({origin})"));
    let code = between(&text, "<Code>", "</Code>");
    if let Some(code) = code.filter(|_| text.contains(TOKEN_SERVICE)) {
        // Whoever renews the token may be late, and who vouches for it away.
        let reason = between(&text, "<Message>", "</Message>").unwrap_or_default();
        return Error::backoff(format!(
            "{name} {what}: the token service does not take {origin}: {} [{code}]",
            first_line(reason)
        ));
    }
    let role = causes(&error).find_map(|cause| cause.downcast_ref::<RoleError>());
    if let Some(reason) = role {
        return Error::backoff(format!(
            "{name} {what}: there are no keys of {origin}: {reason}"
        ));
    }
    let known = CODES
        .iter()
        .find(|(codes, ..)| code.is_some_and(|code| codes.contains(&code)));
    if let (Some(code), Some((_, retry, advice))) = (code, known) {
        let region = between(&text, "<Region>", "</Region>")
            .filter(|_| *advice == ANOTHER_REGION)
            .map_or_else(String::new, |region| format!(" (it says {region})"));
        return Error {
            retry: *retry,
            message: format!("{name} {what}: {}{region} [{code}]", with_origin(advice)),
            source: None,
        };
    }
    if text.contains(BARE_REDIRECT) {
        return Error::never(format!("{name} {what}: {ANOTHER_REGION}"));
    }
    if timed_out(&error) {
        return Error {
            retry: Retry::Backoff,
            message: format!("{name} {what}: {NO_ANSWER}"),
            source: Some(Box::new(error)),
        };
    }
    let (retry, advice) = match &error {
        error if is_closed_directory(error) => (
            Retry::Never,
            ": this process may not write there; let it, or write elsewhere",
        ),
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            (Retry::Never, ": the store refuses these credentials")
        }
        StoreError::InvalidPath { .. }
        | StoreError::NotSupported { .. }
        | StoreError::NotImplemented { .. }
        | StoreError::UnknownConfigurationKey { .. } => (Retry::Never, ""),
        _ => (Retry::Backoff, ""),
    };
    Error {
        retry,
        message: format!(
            "{name} {what}{}: {}",
            with_origin(advice),
            first_line(&error.to_string())
        ),
        source: Some(Box::new(error)),
    }
}

/// The error, then what it came from, down to the first cause.
fn causes(error: &StoreError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = error;
    std::iter::successors(Some(first), |error| (*error).source())
}

/// A directory that does not take files, and will not by itself.
fn is_closed_directory(error: &StoreError) -> bool {
    let local = matches!(error, StoreError::Generic { store, .. } if *store == "LocalFileSystem");
    let cause = causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
    local
        && cause.is_some_and(|cause| {
            matches!(
                cause.kind(),
                ErrorKind::PermissionDenied
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::NotADirectory
            )
        })
}

/// All that the error and its causes say.
fn chain(error: &StoreError) -> String {
    let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
    texts.join("\n")
}

/// The store was asked, and said nothing.
fn timed_out(error: &StoreError) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<HttpError>())
        .any(|error| error.kind() == HttpErrorKind::Timeout)
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let from = text.find(open)? + open.len();
    let length = text[from..].find(close)?;
    text.get(from..from + length)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(body: &str) -> StoreError {
        StoreError::Generic {
            store: "S3",
            source: format!("Server returned non-2xx status code: 400 Bad Request: {body}").into(),
        }
    }

    #[test]
    fn codes_of_answers_become_advice() {
        for (body, retry, message) in [
            (
                "<Error><Code>NoSuchBucket</Code></Error>",
                Retry::Never,
                "s3://lake cannot be written: there is no such bucket; make it, or correct its name \
                 [NoSuchBucket]",
            ),
            (
                "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>",
                Retry::Never,
                "s3://lake cannot be written: the bucket is in another region; correct the region (it \
                 says eu-west-1) [AuthorizationHeaderMalformed]",
            ),
            (
                "<Error><Code>InvalidAccessKeyId</Code></Error>",
                Retry::Never,
                "s3://lake cannot be written: the store does not know these credentials \
                 (aws.access.key.id); correct them [InvalidAccessKeyId]",
            ),
            (
                "<Error><Code>RequestTimeTooSkewed</Code></Error>",
                Retry::Backoff,
                "s3://lake cannot be written: this machine's clock and the store's differ by more than \
                 15 minutes; set the clock [RequestTimeTooSkewed]",
            ),
            (
                "<Error><Code>EntityTooLarge</Code></Error>",
                Retry::Never,
                "s3://lake cannot be written: the object or its name is larger than the store takes; let \
                 files end earlier (rotate.bytes) [EntityTooLarge]",
            ),
            (
                "<Error><Code>SlowDown</Code></Error>\nmore",
                Retry::Backoff,
                "s3://lake cannot be written: Generic S3 error: Server returned non-2xx status code: \
                 400 Bad Request: <Error><Code>SlowDown</Code></Error>",
            ),
        ] {
            let error = explain(
                "s3://lake",
                "aws.access.key.id",
                "cannot be written",
                generic(body),
            );
            assert_eq!((error.retry, error.message.as_str()), (retry, message));
        }
    }

    #[test]
    fn a_directory_that_takes_no_files_is_final_and_one_that_is_full_is_not() {
        for (kind, retry) in [
            (ErrorKind::PermissionDenied, Retry::Never),
            (ErrorKind::ReadOnlyFilesystem, Retry::Never),
            (ErrorKind::StorageFull, Retry::Backoff),
        ] {
            let error = StoreError::Generic {
                store: "LocalFileSystem",
                source: Box::new(io::Error::new(kind, "/lake/x")),
            };
            let error = explain("file:///lake", "none", "cannot be written", error);
            assert_eq!(error.retry, retry, "{error}");
            assert!(error.message.contains("/lake/x"), "{error}");
        }
    }

    #[test]
    fn refusals_without_a_code_are_final_and_the_rest_may_pass() {
        let denied = StoreError::PermissionDenied {
            path: "x".to_owned(),
            source: "403".into(),
        };
        assert_eq!(
            explain(
                "gs://lake",
                "gcs.credentials.path",
                "cannot be written",
                denied
            )
            .retry,
            Retry::Never
        );
        let silent = StoreError::Generic {
            store: "GCS",
            source: Box::new(HttpError::new(
                HttpErrorKind::Timeout,
                std::io::Error::other("operation timed out"),
            )),
        };
        let silent = explain(
            "gs://lake",
            "gcs.credentials.path",
            "cannot be written",
            silent,
        );
        assert_eq!(
            (silent.retry, silent.message.as_str()),
            (
                Retry::Backoff,
                "gs://lake cannot be written: no answer came in the time of store.timeout.ms"
            )
        );
        let away = StoreError::Generic {
            store: "GCS",
            source: "connection refused".into(),
        };
        assert_eq!(
            explain(
                "gs://lake",
                "gcs.credentials.path",
                "cannot be written",
                away
            )
            .retry,
            Retry::Backoff
        );
    }
}
