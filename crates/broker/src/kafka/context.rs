//! What librdkafka calls back: its log, its errors, and changes of a group.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::refusal::Refusal;
use crate::TopicPartition;

/// librdkafka's log lines name brokers, topics and requests, never keys or values.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, line: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(target: "librdkafka", facility, "{line}"),
        RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{line}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(target: "librdkafka", facility, "{line}")
        }
        RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{line}"),
    }
}

/// Errors that librdkafka gets over by itself: they are logged, calls report their own.
pub(super) fn passing_error(error: &KafkaError, reason: &str) {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown) => {
            tracing::warn!(target: "librdkafka", "{reason}");
        }
        _ => tracing::error!(target: "librdkafka", "{reason}"),
    }
}

/// Context of clients without a group: administration, metadata, readers.
#[derive(Debug, Default)]
pub(super) struct PlainContext {
    pub(super) refusal: Refusal,
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    /// What it says of connections stands in its log already.
    fn error(&self, error: KafkaError, reason: &str) {
        self.refusal.note(&error, reason);
        tracing::debug!(target: "librdkafka", "{reason}");
    }
}

impl ConsumerContext for PlainContext {}

/// A change of the assignment that librdkafka waits for an answer to.
#[derive(Debug)]
pub(super) enum Rebalance {
    Assign(Vec<TopicPartition>),
    Revoke {
        partitions: Vec<TopicPartition>,
        lost: bool,
    },
}

/// Context of a group member: changes are queued, and answered by the task when it is ready.
#[derive(Debug, Default)]
pub(super) struct MemberContext {
    rebalances: Mutex<VecDeque<Rebalance>>,
    closing: AtomicBool,
}

impl MemberContext {
    fn rebalances(&self) -> MutexGuard<'_, VecDeque<Rebalance>> {
        self.rebalances
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_rebalance(&self) -> Option<Rebalance> {
        self.rebalances().pop_front()
    }

    pub(super) fn has_rebalance(&self) -> bool {
        !self.rebalances().is_empty()
    }

    /// From now on nobody is asked: changes are answered at once.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        passing_error(&error, reason);
    }
}

impl ConsumerContext for MemberContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        change: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::Acquire) {
            let answered = match (consumer.rebalance_protocol(), change) {
                (
                    RebalanceProtocol::Cooperative,
                    RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS,
                ) => consumer.incremental_assign(&TopicPartitionList::new()),
                (RebalanceProtocol::Cooperative, _) => consumer.incremental_unassign(list),
                _ => consumer.unassign(),
            };
            if let Err(e) = answered {
                tracing::debug!("leaving the group: {e}");
            }
            return;
        }
        let partitions = partitions(list);
        self.rebalances().push_back(
            if change == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
                Rebalance::Assign(partitions)
            } else {
                Rebalance::Revoke {
                    partitions,
                    lost: consumer.assignment_lost(),
                }
            },
        );
    }
}

/// The partitions of librdkafka's list.
pub(super) fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let mut names: Vec<std::sync::Arc<str>> = Vec::new();
    list.elements()
        .iter()
        .map(|element| {
            let known = names
                .iter()
                .find(|name| ***name == *element.topic())
                .cloned();
            let topic = known.unwrap_or_else(|| {
                names.push(element.topic().into());
                element.topic().into()
            });
            TopicPartition {
                topic,
                partition: element.partition(),
            }
        })
        .collect()
}

/// librdkafka's list of partitions.
pub(super) fn list<'a>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}
