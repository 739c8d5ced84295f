//! Supervision: a task that fails for a passing reason, or panics, is started again after a pause;
//! one that cannot go on stays FAILED. A panic in a plugin never takes the worker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use penstock_connect::{Error, Retry, SinkMode};
use rand::Rng;

use super::{Ended, TaskEnv, broadcast, pipeline, push, replay, sink};
use crate::plugins::Kind;
use crate::status::State;
use crate::{panics, topics};

/// A task that ran this long counts as well again: its next failure waits the shortest pause.
const WELL: Duration = Duration::from_secs(60);

/// Starts a task on a thread of its own. It ends when its stop token is cancelled, or in FAILED.
pub(crate) fn spawn(env: TaskEnv) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new()
        .name(format!("{}-{}", env.context.connector, env.context.task))
        .spawn(move || supervise(&env))
}

fn supervise(env: &TaskEnv) {
    let first = env.services.worker.restart_delay.0;
    let longest = env.services.worker.restart_delay_max.0;
    let mut delay = first;
    loop {
        let since = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| run(env)));
        env.metrics.none_active();
        let error = match ended {
            Ok(Ok(Ended::Stopped)) => {
                env.status.set(State::Unassigned, None);
                return;
            }
            Ok(Ok(Ended::Completed)) => {
                env.status.set(State::Completed, None);
                // Nobody listens any more when the worker stops.
                let _ = env.completed.blocking_send(env.context.connector.clone());
                return;
            }
            Ok(Err(error)) => error,
            Err(_) => Error::reconnect(format!("the task panicked: {}", panics::last())),
        };
        env.metrics.failed();
        let connector = &*env.context.connector;
        let task = env.context.task;
        let trace = error.trace();
        if error.retry == Retry::Never {
            tracing::error!(connector, task, "the task failed and stays so: {trace}");
            env.status.set(State::Failed, Some(trace));
            return;
        }
        if since.elapsed() > WELL {
            delay = first;
        }
        let pause = delay
            .mul_f64(rand::rng().random_range(0.8..1.2))
            .min(longest);
        tracing::warn!(
            connector,
            task,
            "the task starts again in {} ms: {trace}",
            pause.as_millis()
        );
        env.status.set(State::Restarting, Some(trace));
        env.metrics.restarted();
        if env.pause(pause) {
            env.status.set(State::Unassigned, None);
            return;
        }
        delay = (delay * 2).min(longest);
    }
}

fn run(env: &TaskEnv) -> Result<Ended, Error> {
    if env.topics_missing.load(Ordering::Relaxed) {
        let spec = env.spec.clone();
        if env
            .ask(move |services| topics::make(services, &spec))?
            .is_none()
        {
            return Ok(Ended::Stopped);
        }
        env.topics_missing.store(false, Ordering::Relaxed);
    }
    match env.spec.kind {
        Kind::Pipeline => {
            env.status.set(State::Running, None);
            pipeline::run(env)?;
        }
        Kind::Source => {
            let source = env
                .plugins
                .build_source(&env.spec, &env.context, &env.services)?;
            if source.replayable() {
                return replay::run(env, source);
            } else {
                push::run(env, source)?;
            }
        }
        Kind::Sink => {
            let plugin = env
                .plugins
                .build_sink(&env.spec, &env.context, &env.services)?;
            match plugin.mode() {
                SinkMode::Group => {
                    env.status.set(State::Running, None);
                    return sink::run(env, plugin);
                }
                SinkMode::Broadcast if env.ends.is_some() => {
                    return Err(Error::never(
                        "read.until=end: a sink that broadcasts begins with the latest record and has no end",
                    ));
                }
                SinkMode::Broadcast => broadcast::run(env, plugin)?,
            }
        }
    }
    Ok(Ended::Stopped)
}
