//! A server process that tests own: output in a log file, bounded wait for readiness, kill and
//! graceful stop. It dies with its owner, even when the owner is killed.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process};

use crate::{Error, Result};

const POLL: Duration = Duration::from_millis(20);

/// A running server with its own process group.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    /// Held open while the process may live; see [`watch`].
    watchdog: Option<Watchdog>,
}

impl Process {
    /// Starts `command` with its output appended to `log`. The process is killed when this
    /// value is dropped or when the owning process ends, however it ends.
    ///
    /// # Errors
    /// When the log cannot be written or the program cannot be started.
    pub fn spawn(name: &str, command: Command, log: &Path) -> Result<Self> {
        let mut process = Self::start(name, command, log)?;
        process.watchdog = Some(watch(process.child.id())?);
        Ok(process)
    }

    /// Starts `command` so that it outlives its owner, unless this value is dropped before
    /// [`Process::detach`] was called.
    ///
    /// # Errors
    /// As [`Process::spawn`].
    pub fn spawn_detached(name: &str, command: Command, log: &Path) -> Result<Self> {
        Self::start(name, command, log)
    }

    fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::io("open the log", log))?;
        let errors = output.try_clone().map_err(Error::io("open the log", log))?;
        let program = PathBuf::from(command.get_program());
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(Error::io("start", &program))?;
        Ok(Self {
            name: name.into(),
            log: log.into(),
            child,
            watchdog: None,
        })
    }

    /// The process id, which is also its group's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read(&self.log).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// [`Error::EndedEarly`] and [`Error::NotReady`] with the end of the log.
    pub fn wait_ready(&mut self, limit: Duration, ready: impl Fn() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(Error::EndedEarly {
                    service: self.name.clone(),
                    status: status.to_string(),
                    log: self.log.clone(),
                    tail: tail(&self.log),
                });
            }
            if start.elapsed() > limit {
                return Err(Error::NotReady {
                    service: self.name.clone(),
                    waited: start.elapsed(),
                    log: self.log.clone(),
                    tail: tail(&self.log),
                });
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Kills the process and its children at once (SIGKILL) and waits for the end.
    pub fn kill(&mut self) {
        if self.is_running() {
            signal_group(self.child.id(), Signal::KILL);
        }
        let _ = self.child.wait();
        self.watchdog = None;
    }

    /// Makes the process and its children stand still: connections stay open and nobody answers.
    pub fn freeze(&self) {
        signal_group(self.child.id(), Signal::STOP);
    }

    /// Lets them go on after [`Process::freeze`].
    pub fn thaw(&self) {
        signal_group(self.child.id(), Signal::CONT);
    }

    /// Asks the process to stop (SIGTERM) and waits for the end.
    ///
    /// # Errors
    /// [`Error::Other`] when it still runs after `limit`; it is killed then.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.end("SIGTERM", Signal::TERM, limit)
    }

    /// As [`Process::stop`], as a terminal asks (SIGINT).
    ///
    /// # Errors
    /// As [`Process::stop`].
    pub fn interrupt(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.end("SIGINT", Signal::INT, limit)
    }

    fn end(&mut self, name: &str, signal: Signal, limit: Duration) -> Result<ExitStatus> {
        signal_group(self.child.id(), signal);
        let start = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.watchdog = None;
                return Ok(status);
            }
            if start.elapsed() > limit {
                self.kill();
                return Err(Error::Other(format!(
                    "{} did not stop within {} s of {name}; its log is {}, which ends:\n{}",
                    self.name,
                    limit.as_secs(),
                    self.log.display(),
                    tail(&self.log),
                )));
            }
            thread::sleep(POLL);
        }
    }

    /// Lets the process live on; returns its id.
    #[must_use]
    pub fn detach(mut self) -> u32 {
        let id = self.child.id();
        self.watchdog = None;
        // Without the destructor nothing kills the group; the log's handles belong to the child.
        std::mem::forget(self);
        id
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end with its output in `log`.
///
/// # Errors
/// [`Error::Command`] with the end of the log when it fails.
pub fn run(what: &str, command: Command, log: &Path) -> Result<()> {
    let mut process = Process::spawn(what, command, log)?;
    let status = process
        .child
        .wait()
        .map_err(Error::io("wait for the command that writes", log))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command {
        what: what.into(),
        status: status.to_string(),
        log: log.into(),
        tail: tail(log),
    })
}

/// Whether a process of that id lives.
#[must_use]
pub fn is_alive(id: u32) -> bool {
    pid(id).is_some_and(|pid| test_kill_process(pid).is_ok())
}

/// Stops a detached process group: SIGTERM, and SIGKILL when that does not end it in time.
pub fn stop_group(id: u32, limit: Duration) {
    signal_group(id, Signal::TERM);
    let start = Instant::now();
    while is_alive(id) {
        if start.elapsed() > limit {
            signal_group(id, Signal::KILL);
            return;
        }
        thread::sleep(POLL);
    }
}

fn pid(id: u32) -> Option<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw)
}

fn signal_group(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        // The group may have ended by itself, which is what was wanted.
        let _ = kill_process_group(pid, signal);
    }
}

/// A shell that waits for the end of its input and then kills a process group. The input's other
/// end is open in the owner alone, so that it ends with the owner, even on SIGKILL.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shell: Child,
    _input: Option<ChildStdin>,
}

/// Kills the process group when this process ends before the returned value is dropped.
pub(crate) fn watch(group: u32) -> Result<Watchdog> {
    let mut shell = Command::new("sh")
        .args(["-c", "cat >/dev/null; kill -KILL -\"$0\" 2>/dev/null"])
        .arg(group.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(Error::io("start", Path::new("sh")))?;
    let input = shell.stdin.take();
    Ok(Watchdog {
        shell,
        _input: input,
    })
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        signal_group(self.shell.id(), Signal::KILL);
        let _ = self.shell.wait();
    }
}

/// The last lines of a log, at most 4 KiB.
#[must_use]
pub fn tail(log: &Path) -> String {
    const WINDOW: u64 = 4096;
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim_end().to_owned(),
        Err(error) => format!("(the log cannot be read: {error})"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_that_ends_while_starting_is_reported_with_the_end_of_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Process::spawn("demo", shell("echo port taken; exit 3"), &log).unwrap();
        let error = process
            .wait_ready(Duration::from_secs(10), || false)
            .unwrap_err()
            .to_string();
        assert!(error.contains("demo ended while starting"), "{error}");
        assert!(error.ends_with("port taken"), "{error}");
    }

    #[test]
    fn killing_a_process_takes_its_children_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Process::spawn("demo", shell("sleep 600 & echo $!; wait"), &log).unwrap();
        process
            .wait_ready(Duration::from_secs(10), || {
                tail(&log).parse::<u32>().is_ok()
            })
            .unwrap();
        let grandchild: u32 = tail(&log).parse().unwrap();
        process.kill();
        // Until then the grandchild waits to be reaped by whoever inherited it.
        let running = || {
            fs::read_to_string(format!("/proc/{grandchild}/stat"))
                .is_ok_and(|state| !state.contains(") Z "))
        };
        while running() {
            thread::sleep(POLL);
        }
    }

    #[test]
    fn a_process_dies_when_its_owner_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = Process::spawn("demo", shell("echo up; sleep 600"), &log).unwrap();
        // What the kernel does when the owner dies: the watchdog's input ends.
        process.watchdog.as_mut().unwrap()._input = None;
        process.child.wait().unwrap();
    }
}
