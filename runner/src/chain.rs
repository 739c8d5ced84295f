//! A connector's transforms, run one after the other over a batch. Each transform sees the batch
//! once in `prepare`, then record by record; records that its predicate leaves out keep their place.

use std::future::{Future, poll_fn};
use std::pin::pin;

use penstock_connect::{Error, Outputs, Record, RecordError, Transform};
use penstock_smt::Predicate;

/// One transform of a connector.
pub(crate) struct Stage {
    /// Its name in `transforms`.
    pub(crate) name: String,
    /// The transform.
    pub(crate) transform: Box<dyn Transform>,
    /// When set, only records for which it holds (or, negated, does not) go through.
    pub(crate) predicate: Option<(Box<dyn Predicate>, bool)>,
}

impl Stage {
    fn reads_payloads(&self) -> bool {
        self.predicate.is_some() || self.transform.reads_payloads()
    }

    fn takes(&self, record: &Record) -> bool {
        self.predicate
            .as_ref()
            .is_none_or(|(predicate, negate)| predicate.test(record) != *negate)
    }
}

/// A record that was rejected, and where.
pub(crate) struct Rejection {
    /// The origin's place in the batch.
    pub(crate) origin: usize,
    /// What is wrong.
    pub(crate) error: RecordError,
    /// The transform or converter that said so.
    pub(crate) stage: String,
}

/// What became of a batch.
#[derive(Default)]
pub(crate) struct Chained {
    /// Records to be written.
    pub(crate) passed: Vec<Record>,
    /// Records dropped on purpose: the origin's place, and why.
    pub(crate) filtered: Vec<(usize, &'static str)>,
    /// Records rejected.
    pub(crate) rejected: Vec<Rejection>,
    /// Something had to be fetched for it from elsewhere.
    pub(crate) waited: bool,
}

/// The transforms of one task.
pub(crate) struct Chain {
    stages: Vec<Stage>,
}

impl Chain {
    pub(crate) fn new(stages: Vec<Stage>) -> Self {
        Self { stages }
    }

    /// Whether dead letters of this chain may hold plaintext personal data.
    pub(crate) fn handles_personal_data(&self) -> bool {
        self.stages
            .iter()
            .any(|stage| stage.transform.handles_personal_data())
    }

    /// Runs the batch through all stages. An error concerns the whole batch: none of it has ended.
    pub(crate) async fn run(&mut self, records: Vec<Record>) -> Result<Chained, Error> {
        let mut chained = Chained {
            passed: records,
            ..Chained::default()
        };
        for stage in &mut self.stages {
            if chained.passed.is_empty() {
                break;
            }
            if stage.reads_payloads() {
                for record in &mut chained.passed {
                    for payload in [&mut record.key, &mut record.value].into_iter().flatten() {
                        payload.flatten();
                    }
                }
            }
            let outputs = run_stage(
                stage,
                std::mem::take(&mut chained.passed),
                &mut chained.waited,
            )
            .await?;
            chained.passed = outputs.passed;
            chained.filtered.extend(
                outputs
                    .filtered
                    .into_iter()
                    .map(|(record, reason)| (record.origin().index, reason)),
            );
            chained
                .rejected
                .extend(
                    outputs
                        .rejected
                        .into_iter()
                        .map(|(record, error)| Rejection {
                            origin: record.origin().index,
                            error,
                            stage: stage.name.clone(),
                        }),
                );
        }
        Ok(chained)
    }
}

async fn run_stage(
    stage: &mut Stage,
    records: Vec<Record>,
    waited: &mut bool,
) -> Result<Outputs, Error> {
    let mut out = Outputs::default();
    out.passed.reserve(records.len());
    if stage.predicate.is_none() {
        noticing(stage.transform.prepare(&records), waited).await?;
        for (index, record) in records.into_iter().enumerate() {
            stage.transform.apply(index, record, &mut out);
        }
        return Ok(out);
    }
    let taken: Vec<bool> = records.iter().map(|record| stage.takes(record)).collect();
    let mut left_out = Vec::new();
    let mut selected = Vec::with_capacity(records.len());
    for (record, taken) in records.into_iter().zip(&taken) {
        if *taken {
            selected.push(record)
        } else {
            left_out.push(record)
        }
    }
    noticing(stage.transform.prepare(&selected), waited).await?;
    let (mut selected, mut left_out) = (selected.into_iter().enumerate(), left_out.into_iter());
    for taken in taken {
        if taken {
            if let Some((index, record)) = selected.next() {
                stage.transform.apply(index, record, &mut out);
            }
        } else if let Some(record) = left_out.next() {
            out.pass(record);
        }
    }
    Ok(out)
}

/// Waits for a future, and notes if it was not ready at once.
async fn noticing<T>(future: impl Future<Output = T>, waited: &mut bool) -> T {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        *waited |= polled.is_pending();
        polled
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use penstock_connect::Origin;

    struct Doubles(usize);

    #[async_trait::async_trait]
    impl Transform for Doubles {
        async fn prepare(&mut self, records: &[Record]) -> Result<(), Error> {
            self.0 = records.len();
            Ok(())
        }

        fn apply(&mut self, index: usize, record: Record, out: &mut Outputs) {
            assert!(index < self.0);
            out.pass(record.clone());
            out.pass(record);
        }
    }

    struct OnlyTopic(&'static str);

    impl Predicate for OnlyTopic {
        fn test(&self, record: &Record) -> bool {
            &*record.topic == self.0
        }
    }

    fn record(topic: &str, index: usize) -> Record {
        let mut record = Record::new(Arc::from(topic), None);
        record.set_origin(Origin {
            index,
            partition: None,
            offset: -1,
        });
        record
    }

    struct Fetches(bool);

    #[async_trait::async_trait]
    impl Transform for Fetches {
        async fn prepare(&mut self, _: &[Record]) -> Result<(), Error> {
            if self.0 {
                tokio::task::yield_now().await;
            }
            Ok(())
        }

        fn apply(&mut self, _: usize, record: Record, out: &mut Outputs) {
            out.pass(record);
        }
    }

    #[tokio::test]
    async fn it_tells_whether_anything_had_to_be_fetched() {
        for waits in [false, true] {
            let stage = |waits| Stage {
                name: "fetch".into(),
                transform: Box::new(Fetches(waits)),
                predicate: None,
            };
            let mut chain = Chain::new(vec![stage(waits), stage(false)]);
            let chained = chain.run(vec![record("a", 0)]).await.unwrap();
            assert_eq!(chained.waited, waits);
        }
    }

    #[tokio::test]
    async fn records_that_a_predicate_leaves_out_keep_their_place() {
        for (negate, expected) in [(false, vec![0, 1, 1, 2]), (true, vec![0, 0, 1, 2, 2])] {
            let mut chain = Chain::new(vec![Stage {
                name: "double".into(),
                transform: Box::new(Doubles(0)),
                predicate: Some((Box::new(OnlyTopic("a")), negate)),
            }]);
            let chained = chain
                .run(vec![record("b", 0), record("a", 1), record("b", 2)])
                .await
                .unwrap();
            let order: Vec<_> = chained
                .passed
                .iter()
                .map(|record| record.origin().index)
                .collect();
            assert_eq!(order, expected, "negate={negate}");
        }
    }
}
