//! Resumable uploads under way: their bytes go up in order, in multiples of 256 KiB, whatever order and
//! size the parts come in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use object_store::{Error, PutPayload};
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
    /// Takes a part's bytes, and gives those that can go up now. What waits is copied, less than a
    /// grain: the part's own memory goes with the request.
    pub(crate) fn take(&mut self, part: PutPayload) -> PutPayload {
        let mut ready = (self.rest.len() + part.content_length()) / GRAIN * GRAIN;
        let mut up = Vec::new();
        if ready > 0 {
            let rest = std::mem::take(&mut self.rest).freeze();
            ready -= rest.len();
            up.push(rest);
        }
        for mut piece in part {
            let now = piece.split_to(ready.min(piece.len()));
            ready -= now.len();
            up.push(now);
            self.rest.extend_from_slice(&piece);
        }
        up.into_iter().filter(|piece| !piece.is_empty()).collect()
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
            let part = vec![u8::try_from(number).unwrap_or(0); size];
            all.extend_from_slice(&part);
            // As they come: in pieces of any length.
            let pieces = part.chunks(100_000).map(Bytes::copy_from_slice);
            let ready = progress.take(pieces.collect());
            assert_eq!(ready.content_length() % GRAIN, 0, "part {number}");
            up.extend(ready.into_iter().flatten());
        }
        up.extend_from_slice(&progress.finish());
        assert_eq!(up, all);
    }

    #[test]
    fn what_goes_up_is_not_copied_and_what_waits_is() {
        let mut progress = Progress::default();
        let part = Bytes::from(vec![1; 4 * GRAIN + 9]);
        let ready = progress.take(part.clone().into());
        let first = ready.iter().next();
        assert_eq!(first.map(|piece| piece.as_ptr()), Some(part.as_ptr()));
        drop(ready);
        assert!(part.is_unique(), "nothing holds the part's memory");
        assert_eq!(progress.finish().len(), 9);
    }
}
