//! Topics to a sink for people who look on: every partition from the latest record, no group, no
//! commits.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use penstock_broker::{Reader, ReaderSpec, StartAt, TopicPartition};
use penstock_connect::{Error, FlushReason, Retry, Sink};

use super::journal::NoJournal;
use super::{POLL, POLL_RECORDS, TaskEnv, batch, task_error};
use crate::status::State;

/// Pause before something that is away is asked again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn run(env: &TaskEnv, mut sink: Box<dyn Sink>) -> Result<(), Error> {
    let mut chain = env.chain()?;
    let (key, value) = env.services.converters(&env.spec);
    let mut spec = ReaderSpec::new(format!("{}-{}", env.context.connector, env.context.task));
    let share = env.services.task_budget();
    spec.poll_bytes = share.min(1 << 20);
    spec.prefetch_bytes = share.min(4 << 20);
    let mut reader = env.services.broker.reader(spec).map_err(task_error)?;
    let mut known = BTreeSet::new();
    // Listening begins before the first topic exists.
    env.handle.block_on(sink.open(&[], &mut NoJournal))?;
    env.status.set(State::Running, None);
    let mut last_look: Option<Instant> = None;
    while !env.stopping() {
        if last_look.is_none_or(|at| at.elapsed() > super::lag::LOOK) {
            let first = last_look.is_none();
            last_look = Some(Instant::now());
            look(env, reader.as_mut(), sink.as_mut(), &mut known, first)?;
        }
        if known.is_empty() {
            env.pause(POLL);
            continue;
        }
        let messages = reader.poll(POLL_RECORDS, POLL).map_err(task_error)?;
        if messages.is_empty() {
            continue;
        }
        env.metrics.read(messages.len());
        env.used.note(messages.iter().map(|message| &message.topic));
        let chained = until_it_passes(env, async || {
            let (records, mut rejected) =
                batch::read(&messages, key, value, &env.services.registry).await?;
            let mut chained = chain.run(records).await?;
            chained.rejected.append(&mut rejected);
            Ok::<_, Error>(chained)
        })?;
        let Some(chained) = chained else { break };
        env.metrics.wrote(chained.passed.len());
        // Nothing depends on what an onlooker does not see: it is counted, and that is all.
        let refused = env.handle.block_on(sink.write(chained.passed))?;
        for _ in 0..chained.rejected.len() + refused.len() {
            env.metrics.rejected();
            env.metrics.skipped();
        }
        env.handle
            .block_on(sink.flush(FlushReason::Tick, &mut NoJournal))?;
        env.metrics.ended(messages.len());
    }
    let ours: Vec<_> = known
        .iter()
        .map(|p: &TopicPartition| penstock_connect::TopicPartition {
            topic: p.topic.clone(),
            partition: p.partition,
        })
        .collect();
    env.handle.block_on(sink.close(&ours))
}

/// Runs an operation until it does not fail for a passing reason: those who look on stay connected
/// meanwhile. Nothing is lost by waiting, and no group waits for us. `None` when asked to stop.
fn until_it_passes<T>(
    env: &TaskEnv,
    mut operation: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let mut troubled = false;
    loop {
        match env.retrying(&mut operation) {
            Err(error) if error.retry == Retry::Backoff => {
                let trace = error.trace();
                if !std::mem::replace(&mut troubled, true) {
                    tracing::warn!(
                        connector = &*env.context.connector,
                        task = env.context.task,
                        "viewers see nothing new for now: {trace}"
                    );
                }
                env.status.set(State::Running, Some(trace));
                if env.pause(LOOK_AGAIN) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
            Ok(done) => {
                if troubled {
                    env.status.set(State::Running, None);
                }
                return Ok(Some(done));
            }
        }
    }
}

/// Adds partitions that are new. Topics that came to be after the start are read from their first
/// record: nobody could have looked at them before.
fn look(
    env: &TaskEnv,
    reader: &mut dyn Reader,
    sink: &mut dyn Sink,
    known: &mut BTreeSet<TopicPartition>,
    first: bool,
) -> Result<(), Error> {
    let mut new = Vec::new();
    for topic in env.services.topics_of(&env.spec).map_err(task_error)? {
        let Some(info) = env.services.broker.topic(&topic).map_err(task_error)? else {
            continue;
        };
        for partition in 0..info.partitions {
            // Several tasks share the partitions out evenly.
            let ours =
                usize::try_from(partition).unwrap_or(0) % env.context.tasks == env.context.task;
            if ours && known.insert(TopicPartition::new(info.name.clone(), partition)) {
                let start = if first {
                    StartAt::Latest
                } else {
                    StartAt::Earliest
                };
                reader
                    .assign(&info.name, partition, start)
                    .map_err(task_error)?;
                new.push(penstock_connect::TopicPartition {
                    topic: info.name.clone(),
                    partition,
                });
            }
        }
    }
    if !new.is_empty() {
        env.handle.block_on(sink.open(&new, &mut NoJournal))?;
        env.metrics.partitions(known.len());
    }
    Ok(())
}
