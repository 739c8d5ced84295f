//! What a failed file operation means for the task: try again, open anew, or stop; and what to do about it.

use std::io::{self, ErrorKind};
use std::path::Path;

use penstock_connect::{Error, Retry};

const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// The error for an operation on `path`. `doing` is its verb: "write", "create".
pub(crate) fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    let shown = path.display();
    let (retry, advice) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            Retry::Backoff,
            "make room there; nothing is lost, and writing goes on as soon as there is room",
        ),
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => (
            Retry::Backoff,
            "raise the limit of open files (ulimit -n) or lower max.open.files",
        ),
        ErrorKind::FileTooLarge => (
            Retry::Never,
            "the file has the largest size that is allowed there: set rotate.bytes below it, or raise \
             the limit (ulimit -f), and restart the task",
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
            Retry::Backoff,
            "let the user that runs the worker read and write there; nothing is lost, and writing goes on \
             as soon as that is so",
        ),
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::AlreadyExists => (
            Retry::Backoff,
            "put right what lies there, or let `file` name another path; nothing is lost, and writing goes \
             on as soon as that is so",
        ),
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput | ErrorKind::Unsupported => (
            Retry::Never,
            "let `file` name a path that can be written, and restart the task",
        ),
        _ => (
            Retry::Reconnect,
            "the file is opened anew and cut back to what is known to be durable",
        ),
    };
    Error {
        retry,
        message: format!("cannot {doing} {shown}: {error}; {advice}"),
        source: Some(Box::new(error)),
    }
}

/// The error for a failed sync. What the disk holds is not known then, so everything after the last
/// durable position has to be written again, whatever the cause.
pub(crate) fn sync_failed(path: &Path, error: io::Error) -> Error {
    Error {
        retry: Retry::Reconnect,
        message: format!(
            "cannot make {} durable: {error}; the file is opened anew and cut back to what is known to be \
             durable",
            path.display()
        ),
        source: Some(Box::new(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_can_put_right_passes_and_a_path_that_cannot_be_does_not() {
        for (errno, retry) in [
            (28, Retry::Backoff),
            (122, Retry::Backoff),
            (24, Retry::Backoff),
            (13, Retry::Backoff),
            (30, Retry::Backoff),
            (2, Retry::Backoff),
            (20, Retry::Backoff),
            (36, Retry::Never),
            (27, Retry::Never),
            (5, Retry::Reconnect),
        ] {
            let error = failed(
                "write",
                Path::new("out/a-0.jsonl"),
                io::Error::from_raw_os_error(errno),
            );
            assert_eq!(error.retry, retry, "{error}");
            assert!(
                error.message.starts_with("cannot write out/a-0.jsonl: "),
                "{error}"
            );
        }
    }
}
