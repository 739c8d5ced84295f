//! What ends a command from outside: Ctrl-C (SIGINT) and SIGTERM.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens for both from the moment it is made: a signal that comes while nobody waits for it is not
/// lost.
#[derive(Debug)]
pub(super) struct Ending {
    interrupt: Signal,
    terminate: Signal,
}

impl Ending {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Returns once one of them has come. Cancel-safe.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
