//! What librdkafka's errors mean to a caller.

use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode as Code};

use crate::{Error, ErrorKind, Retry};

/// An error of `what` ("committing offsets of group …").
pub(super) fn error(what: &str, e: KafkaError) -> Error {
    match e {
        KafkaError::Transaction(e) => transaction_error(what, e),
        // The value may be a password.
        KafkaError::ClientConfig(_, description, key, _) => {
            Error::invalid(format!("{what}: setting {key} is not valid: {description}"))
        }
        KafkaError::ClientCreation(description) => Error::invalid(format!(
            "{what}: the client cannot be made: {}",
            java_names(&description)
        )),
        // These come without their code, as librdkafka's texts.
        KafkaError::Seek(text) | KafkaError::PauseResume(text) | KafkaError::Subscription(text) => {
            Error::new(Retry::Backoff, ErrorKind::Other, format!("{what}: {text}"))
        }
        e => {
            let code = e.rdkafka_error_code().or(match &e {
                KafkaError::AdminOp(code) => Some(*code),
                _ => None,
            });
            match code {
                Some(code) => code_error(what, code).with_source(e),
                None => Error::new(Retry::Backoff, ErrorKind::Other, format!("{what}: {e}"))
                    .with_source(e),
            }
        }
    }
}

/// An error of asking for a partition's ends.
pub(super) fn ends_error(topic: &str, partition: i32, e: KafkaError) -> Error {
    let what = format!("reading the ends of partition {partition} of topic {topic:?}");
    error(&what, e)
}

/// librdkafka's words with the names of settings that users have written.
fn java_names(text: &str) -> String {
    const NAMES: [(&str, &str); 6] = [
        ("ssl.ca.location", "ssl.truststore.location"),
        ("ssl.ca.pem", "ssl.truststore.certificates"),
        ("ssl.certificate.location", "ssl.keystore.location"),
        ("ssl.key.location", "ssl.keystore.location"),
        ("ssl.certificate.pem", "ssl.keystore.certificate.chain"),
        ("ssl.key.pem", "ssl.keystore.key"),
    ];
    NAMES.iter().fold(text.to_owned(), |text, (name, java)| {
        text.replace(name, java)
    })
}

/// An error with only a code.
pub(super) fn code_error(what: &str, code: Code) -> Error {
    let (retry, kind) = classify(code);
    let hint = match kind {
        ErrorKind::Unreachable => "; the broker cannot be reached or does not answer",
        ErrorKind::Denied => "; check credentials and the rights of this user",
        _ => "",
    };
    Error::new(retry, kind, format!("{what}: {code}{hint}"))
}

fn transaction_error(what: &str, e: RDKafkaError) -> Error {
    let (retry, kind) = classify(e.code());
    let retry = if retry == Retry::Fenced {
        Retry::Fenced
    } else if e.txn_requires_abort() {
        Retry::Abort
    } else if e.is_retriable() {
        Retry::Backoff
    } else if e.is_fatal() && retry != Retry::Never {
        Retry::Reconnect
    } else {
        retry
    };
    Error::new(retry, kind, format!("{what}: {}", e.string())).with_source(e)
}

fn classify(code: Code) -> (Retry, ErrorKind) {
    match code {
        Code::UnknownTopic
        | Code::UnknownTopicOrPartition
        | Code::UnknownPartition
        | Code::UnknownTopicId => (Retry::Backoff, ErrorKind::UnknownTopic),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            (Retry::Never, ErrorKind::TooLarge)
        }
        Code::OffsetOutOfRange | Code::AutoOffsetReset => {
            (Retry::Never, ErrorKind::OffsetOutOfRange)
        }
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::Authentication
        | Code::SSL => (Retry::Never, ErrorKind::Denied),
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::FencedInstanceId
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::AssignmentLost => (Retry::Fenced, ErrorKind::Fenced),
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::MessageTimedOut
        | Code::TimedOutQueue
        | Code::RequestTimedOut
        | Code::NetworkException
        | Code::BrokerNotAvailable
        | Code::CoordinatorNotAvailable
        | Code::WaitingForCoordinator => (Retry::Backoff, ErrorKind::Unreachable),
        Code::InvalidConfig
        | Code::InvalidPartitions
        | Code::InvalidReplicationFactor
        | Code::InvalidTopic
        | Code::InvalidRequest
        | Code::InvalidRecord
        | Code::InvalidTimestamp
        | Code::PolicyViolation
        | Code::InvalidTransactionTimeout
        | Code::InvalidSessionTimeout
        | Code::InvalidArgument => (Retry::Never, ErrorKind::Invalid),
        Code::NonEmptyGroup => (Retry::Backoff, ErrorKind::State),
        Code::State => (Retry::Never, ErrorKind::State),
        Code::Fatal | Code::UnknownProducerId | Code::OutOfOrderSequenceNumber => {
            (Retry::Reconnect, ErrorKind::Other)
        }
        _ => (Retry::Backoff, ErrorKind::Other),
    }
}
