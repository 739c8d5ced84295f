//! Topics to a sink for people who look on: every partition from the latest record, no group, no
//! commits. Whatever passes by itself (a broker or a registry that is away) is waited for: those who look on
//! stay connected meanwhile.

use std::time::{Duration, Instant};

use penstock_connect::{Error, FlushReason, Retry, Sink};

use super::journal::NoJournal;
use super::progress::sink_partition;
use super::watch::Watch;
use super::{TaskEnv, batch};
use crate::status::State;

/// Pause before something that is away is asked again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

pub(super) fn run(env: &TaskEnv, mut sink: Box<dyn Sink>) -> Result<(), Error> {
    let mut chain = env.chain()?;
    let (key, value) = env.services.converters(&env.spec);
    let mut watch = Watch::new(env);
    let mut trouble = Trouble::new(env);
    let mut last_look = Some(Instant::now());
    let mut looked = look(env, &mut watch, sink.as_mut(), &mut trouble)?;
    if watch.known().len() == 0 {
        // Who comes early finds what is there, and a listener even if there is nothing yet.
        env.handle.block_on(sink.open(&[], &mut NoJournal))?;
    }
    if !trouble.goes_on {
        env.status.set(State::Running, None);
    }
    while !env.stopping() {
        if last_look.is_none_or(|at| at.elapsed() > super::lag::LOOK) {
            last_look = Some(Instant::now());
            looked = look(env, &mut watch, sink.as_mut(), &mut trouble)?;
        }
        let messages = match watch.poll() {
            Ok(messages) => messages,
            Err(error) => {
                trouble.waits(error)?;
                env.pause(LOOK_AGAIN);
                last_look = None;
                continue;
            }
        };
        if looked {
            trouble.is_over();
        }
        if messages.is_empty() {
            continue;
        }
        env.metrics.read(messages.len());
        env.used.note(messages.iter().map(|message| &message.topic));
        let chained = until_it_passes(env, &mut trouble, async || {
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
    let ours: Vec<_> = watch.known().map(sink_partition).collect();
    env.handle.block_on(sink.close(&ours))
}

/// Adds partitions that are new, and says whether the broker could tell: that it cannot is no reason to end.
fn look(
    env: &TaskEnv,
    watch: &mut Watch<'_>,
    sink: &mut dyn Sink,
    trouble: &mut Trouble<'_>,
) -> Result<bool, Error> {
    let (new, looked) = watch.look();
    if !new.is_empty() {
        let new: Vec<_> = new.iter().map(sink_partition).collect();
        env.handle.block_on(sink.open(&new, &mut NoJournal))?;
        env.metrics.partitions(watch.known().len());
    }
    let Err(error) = looked else { return Ok(true) };
    trouble.waits(error)?;
    Ok(false)
}

/// Runs an operation until it does not fail for a passing reason. Nothing is lost by waiting, and no group
/// waits for us. `None` when asked to stop.
fn until_it_passes<T>(
    env: &TaskEnv,
    trouble: &mut Trouble<'_>,
    mut operation: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    loop {
        match env.retrying(&mut operation) {
            Err(error) if error.retry == Retry::Backoff => {
                trouble.waits(error)?;
                if env.pause(LOOK_AGAIN) {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
            Ok(done) => {
                trouble.is_over();
                return Ok(Some(done));
            }
        }
    }
}

/// What keeps those who look on from seeing anything new, told once in the log and meanwhile in the status.
struct Trouble<'a> {
    env: &'a TaskEnv,
    goes_on: bool,
}

impl<'a> Trouble<'a> {
    fn new(env: &'a TaskEnv) -> Self {
        Self {
            env,
            goes_on: false,
        }
    }

    /// Takes note of an error that may pass; any other is returned.
    fn waits(&mut self, error: Error) -> Result<(), Error> {
        if error.retry == Retry::Never {
            return Err(error);
        }
        let trace = error.trace();
        if !std::mem::replace(&mut self.goes_on, true) {
            tracing::warn!(
                connector = &*self.env.context.connector,
                task = self.env.context.task,
                "viewers see nothing new for now: {trace}"
            );
        }
        self.env.status.set(State::Running, Some(trace));
        Ok(())
    }

    fn is_over(&mut self) {
        if std::mem::take(&mut self.goes_on) {
            self.env.status.set(State::Running, None);
        }
    }
}
