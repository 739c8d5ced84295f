//! The file of one partition: takes lines, writes them, makes them durable together with the
//! position, gives complete files their names, and finds its way back after a kill.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_connect::{Error, TopicPartition};

use crate::chunk::ChunkEncoder;
use crate::failure::{failed, sync_failed};
use crate::place::{Place, is_at, length_of, sync_directory_of};
use crate::sidecar::{Sidecar, State};
use crate::tail::{self, TailCheck};
use crate::template::PathTemplate;

/// When a file is complete.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rotation {
    pub(crate) bytes: Option<u64>,
    pub(crate) age: Option<Duration>,
}

struct Handles {
    sidecar: Sidecar,
    data: Option<File>,
}

/// The file of one partition.
pub(crate) struct Output {
    place: Place,
    rotation: Rotation,
    /// `None` while parked: another partition needed the handles.
    handles: Option<Handles>,
    committed: State,
    /// Next offset, everything taken included.
    next: Option<i64>,
    first: Option<i64>,
    started: Option<i64>,
    /// Lines taken, not yet encoded.
    lines: Vec<u8>,
    /// Encoded bytes, of which `handed_over` are in the file.
    encoded: Vec<u8>,
    handed_over: usize,
    /// Bytes in the file.
    written: u64,
    /// Bytes in the file that are known to be durable.
    synced: u64,
    check: TailCheck,
}

impl Output {
    /// Finds the file of a partition again, cut back to what is durable. `None` if there is none yet.
    pub(crate) fn recover(
        template: &Arc<PathTemplate>,
        rotation: Rotation,
        partition: &TopicPartition,
    ) -> Result<Option<Self>, Error> {
        let place = Place::prepare(template, partition)?;
        let sidecar = Sidecar::open(&place.sidecar)?;
        let found = match sidecar {
            Some(mut sidecar) => sidecar.read()?.map(|state| (sidecar, state)),
            None => None,
        };
        let Some((sidecar, state)) = found else {
            return match length_of(&place.data)? {
                None | Some(0) => Ok(None),
                Some(length) => Err(Error::never(format!(
                    "{0} holds {length} bytes, but {1} beside it is missing or damaged, so it is not known what \
                     of the file is durable; move {0} (and {1}) away and restart the task: it goes on with a \
                     new file at the group's offset",
                    place.data.display(),
                    place.sidecar.display(),
                ))),
            };
        };
        let mut output = Self::resume(place, rotation, sidecar, state);
        output.cut_back()?;
        if output.committed.rotating {
            output.finish_rotation()?;
        }
        Ok(Some(output))
    }

    /// Begins the file of a partition that [`Output::recover`] found none for.
    pub(crate) fn create(
        template: &Arc<PathTemplate>,
        rotation: Rotation,
        partition: &TopicPartition,
    ) -> Result<Self, Error> {
        let place = Place::prepare(template, partition)?;
        let mut sidecar = Sidecar::open_or_create(&place.sidecar)?;
        let state = match sidecar.read()? {
            // Somebody else wrote here since, and let go of it.
            Some(_) => return Err(taken_over(&place)),
            None => State::new(),
        };
        sidecar.initialise(&state)?;
        sync_directory_of(&place.sidecar)?;
        Ok(Self::resume(place, rotation, sidecar, state))
    }

    fn resume(place: Place, rotation: Rotation, sidecar: Sidecar, state: State) -> Self {
        Self {
            place,
            rotation,
            handles: Some(Handles {
                sidecar,
                data: None,
            }),
            next: state.offset,
            // A file that is about to get its final name is not the one that comes next.
            first: state.first.filter(|_| !state.rotating),
            started: state.started.filter(|_| !state.rotating),
            lines: Vec::new(),
            encoded: Vec::new(),
            handed_over: 0,
            written: state.length,
            synced: state.length,
            check: TailCheck::resume(state.tail(), state.length),
            committed: state,
        }
    }

    /// Next offset to be read, everything taken included.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// Next offset to be read after everything durable.
    pub(crate) fn durable(&self) -> Option<i64> {
        self.committed.offset
    }

    /// Holds open files.
    pub(crate) fn is_open(&self) -> bool {
        self.handles.is_some()
    }

    /// Bytes in memory.
    pub(crate) fn buffered(&self) -> usize {
        self.lines.len() + self.encoded.len() - self.handed_over
    }

    /// Bytes that are encoded and could not be written yet.
    pub(crate) fn is_stalled(&self) -> bool {
        self.handed_over < self.encoded.len()
    }

    /// What is durable is never asked for again: a record from before it belongs to another topic of
    /// the same name, or somebody has set the offsets back.
    pub(crate) fn refuse_below_durable(&self, offset: i64) -> Result<(), Error> {
        match self.committed.offset {
            Some(durable) if offset < durable => Err(Error::reconnect(format!(
                "{} holds everything below offset {durable}, and offset {offset} came: the topic was made anew, or \
                 the offsets were set back; to have it written again, move this file and {} away",
                self.place.data.display(),
                self.place.sidecar.display(),
            ))),
            _ => Ok(()),
        }
    }

    /// Lets `append` add the line of the record at `offset`, and takes the offset. Nothing is
    /// written yet, so this cannot fail for any reason but the record itself.
    pub(crate) fn take<E>(
        &mut self,
        offset: i64,
        now: SystemTime,
        append: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.next = self.next.max(Some(offset + 1));
        let before = self.lines.len();
        append(&mut self.lines)?;
        if self.first.is_none() && self.lines.len() > before {
            self.first = Some(offset);
            self.started = Some(millis(now));
        }
        Ok(())
    }

    /// Writes what was taken to the file; returns how many bytes were written. After an error the
    /// rest is kept, and the next call goes on behind the last byte that was written.
    pub(crate) fn spill(&mut self, encoder: &mut ChunkEncoder) -> Result<u64, Error> {
        if self.lines.is_empty() && !self.is_stalled() {
            return Ok(0);
        }
        if self.committed.rotating {
            self.finish_rotation()?;
        }
        if !self.lines.is_empty() {
            let start = self.encoded.len();
            encoder
                .encode(&self.lines, &mut self.encoded)
                .map_err(|error| failed("compress", &self.place.data, error))?;
            self.check.update(&self.encoded[start..]);
            self.lines.clear();
        }
        let before = self.written;
        self.open_data()?;
        let Some(data) = self
            .handles
            .as_mut()
            .and_then(|handles| handles.data.as_mut())
        else {
            return Ok(0);
        };
        while self.handed_over < self.encoded.len() {
            match data.write(&self.encoded[self.handed_over..]) {
                Ok(0) => {
                    let error = std::io::Error::from(ErrorKind::WriteZero);
                    return Err(failed("write", &self.place.data, error));
                }
                Ok(written) => {
                    self.handed_over += written;
                    self.written += written as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("write", &self.place.data, error)),
            }
        }
        self.encoded.clear();
        self.handed_over = 0;
        Ok(self.written - before)
    }

    /// There is something that [`Output::commit`] would make durable or complete.
    pub(crate) fn needs_commit(&self, now: SystemTime) -> bool {
        self.next != self.committed.offset || self.committed.rotating || self.is_complete(now)
    }

    /// Makes everything taken durable, position and all; returns how many bytes were written and
    /// whether the file was complete.
    pub(crate) fn commit(
        &mut self,
        encoder: &mut ChunkEncoder,
        now: SystemTime,
    ) -> Result<(u64, bool), Error> {
        let bytes = self.spill(encoder)?;
        if self.committed.rotating {
            self.finish_rotation()?;
        }
        let complete = self.is_complete(now);
        if let Some(first) = self.first.filter(|_| complete) {
            self.refuse_existing(&self.place.complete(first))?;
        }
        self.sync_data()?;
        let mut state = self.committed.clone();
        state.commit += 1;
        state.offset = self.next;
        state.length = self.written;
        (state.first, state.started) = (self.first, self.started);
        state.rotating = complete;
        state.set_tail(self.check.commit(self.written));
        self.open()?.sidecar.commit(&state)?;
        self.committed = state;
        if complete {
            (self.first, self.started) = (None, None);
            self.finish_rotation()?;
        }
        Ok((bytes, complete))
    }

    /// Closes the files until they are needed again. What was taken stays taken.
    pub(crate) fn park(&mut self, encoder: &mut ChunkEncoder) -> Result<u64, Error> {
        let bytes = self.spill(encoder)?;
        self.sync_data()?;
        self.handles = None;
        Ok(bytes)
    }

    fn is_complete(&self, now: SystemTime) -> bool {
        let old = |age: Duration| {
            self.started.is_some_and(|started| {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                millis(now).saturating_sub(started) >= age
            })
        };
        self.written > 0
            && (self
                .rotation
                .bytes
                .is_some_and(|bytes| self.written >= bytes)
                || self.rotation.age.is_some_and(old))
    }

    /// Gives the complete file its name. Repeatable: a kill at any point leaves the sidecar saying
    /// `rotating`, and there is no new data file before it is taken back.
    fn finish_rotation(&mut self) -> Result<(), Error> {
        if let Some(first) = self.committed.first
            && length_of(&self.place.data)?.is_some()
        {
            let complete = self.place.complete(first);
            self.refuse_existing(&complete)?;
            std::fs::rename(&self.place.data, &complete)
                .map_err(|error| failed("rename", &self.place.data, error))?;
            sync_directory_of(&complete)?;
        }
        let state = self.committed.after_rotation();
        let handles = self.open()?;
        handles.data = None;
        handles.sidecar.commit(&state)?;
        self.check = TailCheck::resume(state.tail(), 0);
        self.committed = state;
        (self.written, self.synced) = (0, 0);
        Ok(())
    }

    fn refuse_existing(&self, complete: &Path) -> Result<(), Error> {
        match length_of(complete)? {
            None => Ok(()),
            Some(_) => Err(Error::never(format!(
                "{} is complete and would become {}, which exists already: move that file away and restart the task",
                self.place.data.display(),
                complete.display()
            ))),
        }
    }

    /// Syncs the data file, and makes sure that it is still the one that its path names.
    fn sync_data(&mut self) -> Result<(), Error> {
        if self.synced == self.written {
            return Ok(());
        }
        self.open_data()?;
        let Some(data) = self
            .handles
            .as_ref()
            .and_then(|handles| handles.data.as_ref())
        else {
            return Ok(());
        };
        data.sync_data()
            .map_err(|error| sync_failed(&self.place.data, error))?;
        if !is_at(data, &self.place.data)? {
            return Err(Error::never(format!(
                "{0} was moved, deleted or replaced while it was being written. Put it back, or move it and {1} \
                 away, and restart the task. To have files moved while they are written, use rotate.bytes or \
                 rotate.ms: files with an offset in their names are complete",
                self.place.data.display(),
                self.place.sidecar.display(),
            )));
        }
        self.synced = self.written;
        Ok(())
    }

    /// The handles, opened again if they were parked; nobody may have written meanwhile.
    fn open(&mut self) -> Result<&mut Handles, Error> {
        if self.handles.is_none() {
            let mut sidecar =
                Sidecar::open(&self.place.sidecar)?.ok_or_else(|| taken_over(&self.place))?;
            if sidecar.read()?.as_ref() != Some(&self.committed) {
                return Err(taken_over(&self.place));
            }
            self.handles = Some(Handles {
                sidecar,
                data: None,
            });
        }
        match self.handles.as_mut() {
            Some(handles) => Ok(handles),
            None => Err(taken_over(&self.place)),
        }
    }

    fn open_data(&mut self) -> Result<(), Error> {
        let written = self.written;
        if self.open()?.data.is_some() {
            return Ok(());
        }
        let path = &self.place.data;
        let mut data = OpenOptions::new()
            .read(true)
            .write(true)
            .create(written == 0)
            .truncate(false)
            .open(path)
            .map_err(|error| failed("open", path, error))?;
        let length = data
            .seek(SeekFrom::End(0))
            .map_err(|error| failed("open", path, error))?;
        if length != written {
            return Err(taken_over(&self.place));
        }
        if written == 0 {
            sync_directory_of(path)?;
        }
        self.open()?.data = Some(data);
        Ok(())
    }

    /// Cuts the data file back to what the sidecar says, after making sure that it is that file.
    fn cut_back(&mut self) -> Result<(), Error> {
        let (path, state) = (&self.place.data, &self.committed);
        let advice = format!(
            "put it back as it was, or move it and {} away and restart the task: it goes on with a new file at \
             the group's offset",
            self.place.sidecar.display()
        );
        let mut data = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(data) => data,
            // Renamed, or not yet made.
            Err(error)
                if error.kind() == ErrorKind::NotFound && (state.rotating || state.length == 0) =>
            {
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::never(format!(
                    "{} is missing, but {} bytes of it were durable: {advice}",
                    path.display(),
                    state.length
                )));
            }
            Err(error) => return Err(failed("open", path, error)),
        };
        let length = data
            .seek(SeekFrom::End(0))
            .map_err(|error| failed("read", path, error))?;
        if length < state.length {
            return Err(Error::never(format!(
                "{} has {length} bytes, but {} were durable: it was cut or replaced; {advice}",
                path.display(),
                state.length
            )));
        }
        if !tail::holds(&mut data, state.tail(), state.length)
            .map_err(|error| failed("read", path, error))?
        {
            return Err(Error::never(format!(
                "{} is not as it was written: it was edited or replaced; {advice}",
                path.display()
            )));
        }
        if length > state.length {
            data.set_len(state.length)
                .map_err(|error| failed("truncate", path, error))?;
            data.sync_data().map_err(|error| sync_failed(path, error))?;
        }
        data.seek(SeekFrom::Start(state.length))
            .map_err(|error| failed("read", path, error))?;
        self.open()?.data = Some(data);
        Ok(())
    }
}

fn taken_over(place: &Place) -> Error {
    Error::reconnect(format!(
        "{} was changed by somebody else; it is opened anew",
        place.data.display()
    ))
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
