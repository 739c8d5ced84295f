//! One file's bytes on their way to its object: which request comes next. Small files are put whole;
//! larger ones go up in parts of one size while they are still collecting.
//!
//! No request that makes the object appear is made before the file is announced, and no part is sent
//! before the journal names the upload: an upload that nobody knows of holds nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartUpload, PutPayload};
use tokio::sync::Mutex;

use crate::entry::Content;

/// What the journal calls uploads that have no name of their own.
const STAGED: &str = "staged";

/// An upload in parts.
#[derive(Clone)]
pub(crate) enum Session {
    /// One that the store names and keeps.
    Named(Arc<str>),
    /// One that ends with this process: a directory's staged file. A kill leaves the file behind.
    Staged(Arc<Mutex<Box<dyn MultipartUpload>>>),
}

/// What is to be asked of the store.
pub(crate) enum Request {
    Begin,
    Part {
        session: Session,
        index: usize,
        payload: PutPayload,
    },
    Complete {
        session: Session,
        parts: Vec<PartId>,
        known: Vec<Content>,
    },
    Put {
        payload: PutPayload,
        known: Vec<Content>,
    },
}

impl Request {
    /// What it is about, for messages that go on with the object's name.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Begin => "begin the upload of",
            Self::Part { .. } => "take a part of",
            Self::Complete { .. } => "complete",
            Self::Put { .. } => "take",
        }
    }
}

enum State {
    /// All bytes are here.
    Whole,
    Beginning,
    InParts {
        session: Session,
        /// The journal names it.
        noted: bool,
        parts: Vec<Option<PartId>>,
        missing: usize,
    },
    /// The request that makes the object appear is under way.
    Appearing(Option<Session>),
}

/// One file's bytes on their way.
pub(crate) struct Upload {
    path: Path,
    state: State,
    chunks: VecDeque<Bytes>,
    /// Bytes in `chunks`.
    waiting: usize,
    /// Bytes in requests.
    flying: usize,
    length: u64,
    checksum: crc32fast::Hasher,
    /// Set once the file has ended: what its object may hold.
    ended: Option<Vec<Content>>,
    announced: bool,
}

impl Upload {
    pub(crate) fn new(path: Path) -> Self {
        Self {
            path,
            state: State::Whole,
            chunks: VecDeque::new(),
            waiting: 0,
            flying: 0,
            length: 0,
            checksum: crc32fast::Hasher::new(),
            ended: None,
            announced: false,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> usize {
        self.waiting + self.flying
    }

    /// Those of them that go away by themselves: in requests, or of a file that has ended.
    pub(crate) fn leaving(&self) -> usize {
        match self.ended {
            Some(_) => self.held(),
            None => self.flying,
        }
    }

    /// Those of them that are in no request.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.checksum.update(&chunk);
        self.length += chunk.len() as u64;
        self.waiting += chunk.len();
        if !chunk.is_empty() {
            self.chunks.push_back(chunk);
        }
    }

    /// No more bytes come. Returns all that came.
    pub(crate) fn content(&self) -> Content {
        Content {
            bytes: self.length,
            checksum: self.checksum.clone().finalize(),
        }
    }

    /// The file has ended; its object holds one of these contents.
    pub(crate) fn end(&mut self, known: Vec<Content>) {
        self.ended = Some(known);
    }

    /// The journal names the file.
    pub(crate) fn announce(&mut self) {
        self.announced = true;
    }

    /// No upload has begun.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole)
    }

    /// The id under which the store keeps the upload.
    pub(crate) fn id(&self) -> Option<&Arc<str>> {
        match self.session()? {
            Session::Named(id) => Some(id),
            Session::Staged(_) => None,
        }
    }

    /// How the journal names the upload, for whoever gives it up after a kill.
    pub(crate) fn pending(&self) -> Option<Arc<str>> {
        Some(match self.session()? {
            Session::Named(id) => id.clone(),
            Session::Staged(_) => STAGED.into(),
        })
    }

    fn session(&self) -> Option<&Session> {
        match &self.state {
            State::InParts { session, .. } | State::Appearing(Some(session)) => Some(session),
            _ => None,
        }
    }

    /// The journal has to name the upload before it can go on.
    pub(crate) fn is_unnoted(&self) -> bool {
        matches!(self.state, State::InParts { noted: false, .. })
    }

    /// The journal names the upload.
    pub(crate) fn note(&mut self) {
        if let State::InParts { noted, .. } = &mut self.state {
            *noted = true;
        }
    }

    /// The next request, if there is one now. Ask until there is none.
    pub(crate) fn next(&mut self, part_bytes: usize) -> Option<Request> {
        match &mut self.state {
            State::Whole if self.waiting > part_bytes => {
                self.state = State::Beginning;
                Some(Request::Begin)
            }
            State::Whole => {
                let known = self.ended.clone().filter(|_| self.announced)?;
                self.state = State::Appearing(None);
                let payload = self.cut(usize::MAX);
                Some(Request::Put { payload, known })
            }
            State::InParts {
                session,
                noted: true,
                parts,
                missing,
            } => {
                // A staged file takes its parts one after the other.
                if matches!(session, Session::Staged(_)) && *missing > 0 {
                    return None;
                }
                // The last part may be smaller than the others, but not empty.
                if self.waiting > part_bytes || (self.ended.is_some() && self.waiting > 0) {
                    let (session, index) = (session.clone(), parts.len());
                    parts.push(None);
                    *missing += 1;
                    let payload = self.cut(part_bytes);
                    return Some(Request::Part {
                        session,
                        index,
                        payload,
                    });
                }
                let known = self.ended.clone().filter(|_| self.announced)?;
                if *missing > 0 {
                    return None;
                }
                let (session, parts) = (session.clone(), parts.drain(..).flatten().collect());
                self.state = State::Appearing(Some(session.clone()));
                Some(Request::Complete {
                    session,
                    parts,
                    known,
                })
            }
            State::Beginning | State::InParts { .. } | State::Appearing(_) => None,
        }
    }

    /// The upload in parts has begun.
    pub(crate) fn begun(&mut self, session: Session) {
        self.state = State::InParts {
            session,
            noted: false,
            parts: Vec::new(),
            missing: 0,
        };
    }

    /// A part of so many bytes is there.
    pub(crate) fn arrived(&mut self, index: usize, id: PartId, bytes: usize) {
        self.flying -= bytes;
        if let State::InParts { parts, missing, .. } = &mut self.state
            && let Some(part) = parts.get_mut(index)
        {
            *part = Some(id);
            *missing -= 1;
        }
    }

    /// Takes so many bytes, or all if there are fewer.
    fn cut(&mut self, bytes: usize) -> PutPayload {
        let wanted = bytes.min(self.waiting);
        self.waiting -= wanted;
        self.flying += wanted;
        let mut left = wanted;
        let mut taken = Vec::new();
        while left > 0
            && let Some(chunk) = self.chunks.front_mut()
        {
            let part = chunk.split_to(left.min(chunk.len()));
            left -= part.len();
            taken.push(part);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        taken.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn part(id: &str) -> PartId {
        PartId {
            content_id: id.to_owned(),
        }
    }

    fn upload(bytes: usize) -> Upload {
        let mut upload = Upload::new(Path::from("a"));
        for byte in 0..bytes {
            upload.push(vec![byte as u8].into());
        }
        upload
    }

    #[test]
    fn a_small_file_is_put_whole_and_not_before_it_is_announced() {
        let mut upload = upload(10);
        assert!(upload.next(10).is_none());
        let content = upload.content();
        upload.end(vec![content]);
        assert!(upload.next(10).is_none(), "nobody knows of it yet");
        upload.announce();
        let Some(Request::Put { payload, known }) = upload.next(10) else {
            panic!("it is put")
        };
        assert_eq!(known, [content]);
        let bytes = Bytes::from(payload);
        assert_eq!(crc32fast::hash(&bytes), content.checksum);
        assert_eq!((bytes.len() as u64, content.bytes), (10, 10));
        assert_eq!(upload.held(), 10, "until it is there");
        assert!(upload.next(10).is_none());
    }

    #[test]
    fn a_large_file_goes_up_in_equal_parts_once_the_journal_names_the_upload() {
        let mut upload = upload(25);
        assert!(matches!(upload.next(10), Some(Request::Begin)));
        assert!(upload.next(10).is_none());
        upload.begun(Session::Named("id".into()));
        assert!(upload.is_unnoted() && upload.next(10).is_none());
        assert_eq!(upload.id().map(|id| &**id), Some("id"));
        upload.note();
        let mut bytes = Vec::new();
        let mut sent = |upload: &mut Upload, expected: usize| {
            let Some(Request::Part { payload, index, .. }) = upload.next(10) else {
                panic!("a part of {expected}")
            };
            let part = Bytes::from(payload);
            assert_eq!(part.len(), expected);
            bytes.extend_from_slice(&part);
            index
        };
        assert_eq!(sent(&mut upload, 10), 0);
        assert_eq!(sent(&mut upload, 10), 1);
        assert!(upload.next(10).is_none(), "the file goes on");
        upload.end(vec![upload.content()]);
        assert_eq!(sent(&mut upload, 5), 2);
        upload.announce();
        upload.arrived(1, part("b"), 10);
        upload.arrived(0, part("a"), 10);
        assert!(upload.next(10).is_none(), "a part is missing");
        upload.arrived(2, part("c"), 5);
        assert_eq!(upload.held(), 0);
        let Some(Request::Complete { parts, .. }) = upload.next(10) else {
            panic!("it is complete")
        };
        let ids: Vec<&str> = parts.iter().map(|part| part.content_id.as_str()).collect();
        assert_eq!(ids, ["a", "b", "c"]);
        assert_eq!(crc32fast::hash(&bytes), upload.content().checksum);
        assert_eq!(upload.id().map(|id| &**id), Some("id"), "until it is there");
    }

    #[test]
    fn nothing_appears_before_it_is_announced_even_when_all_parts_are_there() {
        let mut upload = upload(11);
        upload.next(10);
        upload.begun(Session::Named("id".into()));
        upload.note();
        upload.end(vec![upload.content()]);
        for (index, bytes) in [(0, 10), (1, 1)] {
            assert!(matches!(upload.next(10), Some(Request::Part { .. })));
            upload.arrived(index, part("x"), bytes);
        }
        assert!(upload.next(10).is_none());
        upload.announce();
        assert!(matches!(upload.next(10), Some(Request::Complete { .. })));
    }
}
