//! Resumable uploads under way: their bytes go up in order, in multiples of 256 KiB, whatever order and
//! size the parts come in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use object_store::Error;
use tokio::sync::watch;

use crate::STORE;

/// All bytes but an upload's last go up in multiples of this.
pub(crate) const GRAIN: usize = 256 << 10;

/// The uploads that this process has begun, by their URL.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    pub(crate) fn begin(&self, id: String) {
        self.lock().insert(id, Arc::new(Session::new()));
    }

    /// An error for an upload that another process began: how far it came is not known.
    pub(crate) fn find(&self, name: &str, id: &str) -> Result<Arc<Session>, Error> {
        self.lock().get(id).cloned().ok_or_else(|| Error::NotFound {
            path: name.to_owned(),
            source: "no such upload was begun here".into(),
        })
    }

    pub(crate) fn end(&self, id: &str) {
        self.lock().remove(id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One upload.
pub(crate) struct Session {
    /// The part whose turn it is; `None` once a part has failed.
    turn: watch::Sender<Option<usize>>,
    pub(crate) progress: tokio::sync::Mutex<Progress>,
}

/// How far an upload has come.
#[derive(Default)]
pub(crate) struct Progress {
    /// Bytes that the service has.
    pub(crate) sent: u64,
    /// Bytes that wait for the next part to make a grain.
    rest: BytesMut,
}

impl Progress {
    /// Takes a part's bytes, and gives those that can go up now.
    pub(crate) fn take(&mut self, part: Bytes) -> Bytes {
        if self.rest.is_empty() && part.len().is_multiple_of(GRAIN) {
            return part;
        }
        self.rest.extend_from_slice(&part);
        let ready = self.rest.len() / GRAIN * GRAIN;
        self.rest.split_to(ready).freeze()
    }

    /// The last bytes.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.rest.split().freeze()
    }
}

/// The turn of one part. Dropped without [`Turn::done`], the upload has failed: parts behind it have
/// nothing to go on from.
pub(crate) struct Turn<'a> {
    session: &'a Session,
    next: Option<usize>,
}

impl Turn<'_> {
    pub(crate) fn done(mut self, part: usize) {
        self.next = Some(part + 1);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.session.turn.send_replace(self.next);
    }
}

impl Session {
    fn new() -> Self {
        Self {
            turn: watch::Sender::new(Some(0)),
            progress: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for the turn of a part.
    pub(crate) async fn turn(&self, part: usize) -> Result<Turn<'_>, Error> {
        let mut turns = self.turn.subscribe();
        let come = turns
            .wait_for(|turn| turn.is_none_or(|turn| turn >= part))
            .await
            .map_or(None, |turn| *turn);
        match come {
            Some(turn) if turn == part => Ok(Turn {
                session: self,
                next: None,
            }),
            Some(_) => Err(failed("the part was sent already")),
            None => Err(failed("an earlier part of the upload failed")),
        }
    }
}

fn failed(what: &'static str) -> Error {
    Error::Generic {
        store: STORE,
        source: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_up_in_grains_and_none_is_lost() {
        let mut progress = Progress::default();
        let sizes = [1, GRAIN - 1, GRAIN, 3 * GRAIN + 7, 5, 2 * GRAIN - 12];
        let mut all = Vec::new();
        let mut up = Vec::new();
        for (number, size) in sizes.into_iter().enumerate() {
            let part = Bytes::from(vec![u8::try_from(number).unwrap_or(0); size]);
            all.extend_from_slice(&part);
            let ready = progress.take(part);
            assert_eq!(ready.len() % GRAIN, 0, "part {number}");
            up.extend_from_slice(&ready);
        }
        up.extend_from_slice(&progress.finish());
        assert_eq!(up, all);
    }
}
