//! Answers of the registry server that are not successes: Confluent's status, error code and text.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::wire::ErrorBody;

/// A refused or failed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: i64,
    message: String,
}

impl ApiError {
    /// An error whose code is its status, as Confluent answers to what it does not route.
    pub(super) fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code: i64::from(status.as_u16()),
            message: message.into(),
        }
    }

    /// The status is the first three digits of the code.
    fn coded(status: StatusCode, code: i64, message: impl Into<String>) -> Self {
        debug_assert_eq!(i64::from(status.as_u16()), code / 100);
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    fn missing(code: i64, message: String) -> Self {
        Self::coded(StatusCode::NOT_FOUND, code, message)
    }

    fn unprocessable(code: i64, message: impl Into<String>) -> Self {
        Self::coded(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(super) fn subject_not_found(subject: &str) -> Self {
        Self::missing(40401, format!("Subject '{subject}' not found."))
    }

    pub(super) fn version_not_found(version: u32) -> Self {
        Self::missing(40402, format!("Version {version} not found."))
    }

    pub(super) fn schema_not_found() -> Self {
        Self::missing(40403, "Schema not found".into())
    }

    pub(super) fn id_not_found(id: impl std::fmt::Display) -> Self {
        Self::missing(40403, format!("Schema {id} not found"))
    }

    pub(super) fn subject_soft_deleted(subject: &str) -> Self {
        Self::missing(
            40404,
            format!(
                "Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"
            ),
        )
    }

    pub(super) fn subject_not_soft_deleted(subject: &str) -> Self {
        Self::missing(
            40405,
            format!("Subject '{subject}' was not deleted first before being permanently deleted"),
        )
    }

    pub(super) fn version_soft_deleted(subject: &str, version: u32) -> Self {
        Self::missing(
            40406,
            format!(
                "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete permanently"
            ),
        )
    }

    pub(super) fn version_not_soft_deleted(subject: &str, version: u32) -> Self {
        Self::missing(
            40407,
            format!(
                "Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
            ),
        )
    }

    pub(super) fn no_compatibility(subject: &str) -> Self {
        Self::missing(
            40408,
            format!("Subject '{subject}' does not have subject-level compatibility configured"),
        )
    }

    pub(super) fn no_mode(subject: &str) -> Self {
        Self::missing(
            40409,
            format!("Subject '{subject}' does not have subject-level mode configured"),
        )
    }

    pub(super) fn incompatible(subject: &str, messages: &[String]) -> Self {
        Self::coded(
            StatusCode::CONFLICT,
            40901,
            format!(
                "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]",
                messages.join(", ")
            ),
        )
    }

    pub(super) fn invalid_schema(cause: impl std::fmt::Display) -> Self {
        Self::unprocessable(42201, format!("Invalid schema: {cause}"))
    }

    pub(super) fn invalid_version(version: &str) -> Self {
        Self::unprocessable(
            42202,
            format!(
                "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
            ),
        )
    }

    pub(super) fn invalid_compatibility() -> Self {
        Self::unprocessable(42203, crate::compat::UnknownLevel.to_string())
    }

    pub(super) fn invalid_mode() -> Self {
        Self::unprocessable(
            42204,
            "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT",
        )
    }

    pub(super) fn not_permitted(message: impl Into<String>) -> Self {
        Self::unprocessable(42205, message)
    }

    pub(super) fn reference_exists(subject: &str, version: u32) -> Self {
        Self::unprocessable(
            42206,
            format!(
                "One or more references exist to the schema {{subject={subject},version={version}}}."
            ),
        )
    }

    pub(super) fn id_does_not_match(message: impl Into<String>) -> Self {
        Self::unprocessable(42207, message)
    }

    pub(super) fn invalid_subject(subject: &str) -> Self {
        Self::unprocessable(
            42208,
            format!("The specified subject '{subject}' is not a valid subject."),
        )
    }

    pub(super) fn contexts_unsupported() -> Self {
        Self::unprocessable(
            42208,
            "Contexts (':.name:subject') are not supported by the embedded registry: use the default context.",
        )
    }

    pub(super) fn store(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "the registry's store failed");
        Self::coded(
            StatusCode::INTERNAL_SERVER_ERROR,
            50001,
            "Error in the backend data store",
        )
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error_code: self.code,
            message: self.message,
        };
        (self.status, axum::Json(body)).into_response()
    }
}
