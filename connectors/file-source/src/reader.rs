//! The open source: one file after the other, and batches of their rows.

use std::collections::VecDeque;
use std::sync::Arc;

use penstock_connect::{BudgetHolder, Error, SourceBatch, SourceRecord, TaskContext};
use tokio::time::{Instant, sleep_until};

use crate::body::BLOCK;
use crate::columns::Mapping;
use crate::config::FileSourceKeys;
use crate::counters::Counters;
use crate::file::{OpenFile, Row};
use crate::folder::{Candidate, Folder, Listing};
use crate::position::{Position, store};

/// Everything that is under way stays in here, so that a poll that is given up loses nothing.
pub(crate) struct Reader {
    connector: Arc<str>,
    config: FileSourceKeys,
    folder: Folder,
    mapping: Mapping,
    counters: Counters,
    held: BudgetHolder,
    position: Position,
    /// Files to read, in order.
    waiting: VecDeque<Candidate>,
    /// When to list next; `None`: not any more.
    listing: Option<Instant>,
    file: Option<OpenFile>,
    batch: Batch,
    /// Told as soon as the worker has taken what came before.
    failed: Option<Error>,
    pub(crate) finished: bool,
}

/// Rows since the last batch.
pub(crate) struct Batch {
    records: Vec<SourceRecord>,
    /// File and line of each.
    places: Vec<(Arc<str>, u64)>,
    bytes: usize,
    /// The position is another than after the last batch.
    moved: bool,
    pub(crate) max_rows: usize,
    max_bytes: usize,
}

impl Batch {
    fn new(config: &FileSourceKeys) -> Self {
        Self {
            records: Vec::new(),
            places: Vec::new(),
            bytes: 0,
            moved: false,
            max_rows: config.batch_rows,
            max_bytes: usize::try_from(config.batch_bytes.0).unwrap_or(usize::MAX),
        }
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.max_rows || self.bytes >= self.max_bytes
    }
}

impl Reader {
    pub(crate) fn new(
        context: &TaskContext,
        config: FileSourceKeys,
        folder: Folder,
        mapping: Mapping,
        position: Position,
    ) -> Self {
        Self {
            connector: Arc::clone(&context.connector),
            batch: Batch::new(&config),
            config,
            folder,
            mapping,
            counters: Counters::new(context),
            held: context.budget.holder(),
            position,
            waiting: VecDeque::new(),
            listing: Some(Instant::now()),
            file: None,
            failed: None,
            finished: false,
        }
    }

    /// Gives at most so many rows with each batch.
    pub(crate) fn limit(&mut self, records: Option<usize>) {
        self.batch.max_rows = records.unwrap_or(self.config.batch_rows);
    }

    /// File and line of a record of the last batch.
    pub(crate) fn place(&self, index: usize) -> Option<String> {
        let (name, line) = self.batch.places.get(index)?;
        Some(format!("{name}:{line}"))
    }

    pub(crate) async fn poll(&mut self) -> Result<SourceBatch, Error> {
        if self.batch.records.is_empty() {
            self.batch.places.clear();
        }
        loop {
            if self.batch.is_full() {
                return Ok(self.take_batch());
            }
            if self.failed.is_none()
                && let Err(error) = self.step().await
            {
                self.failed = Some(error);
            }
            let is_idle = self.file.is_none() && self.waiting.is_empty() && !self.is_to_list();
            if !is_idle && self.failed.is_none() {
                continue;
            }
            if self.batch.moved {
                return Ok(self.take_batch());
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            match self.listing {
                Some(at) => sleep_until(at).await,
                None => {
                    self.finished = true;
                    return Ok(SourceBatch::default());
                }
            }
        }
    }

    fn is_to_list(&self) -> bool {
        self.listing.is_some_and(|at| at <= Instant::now())
    }

    /// Takes one step: a row, a file, or a listing. Cancel-safe.
    async fn step(&mut self) -> Result<(), Error> {
        if let Some(file) = &mut self.file {
            let row = file.next(&mut self.mapping).await?;
            let is_ended = file.is_ended();
            let name = Arc::clone(file.name());
            if let Some(row) = row {
                self.push(name, row);
            }
            if is_ended {
                self.finish();
            }
        } else if let Some(left) = &self.position.file {
            let (folder, mapping, config) = (&self.folder, &self.mapping, &self.config);
            let file = OpenFile::open(folder, &left.name, Some(left), mapping, config).await?;
            tracing::info!(
                connector = &*self.connector,
                file = left.name,
                rows = left.rows,
                "going on behind the rows that were read"
            );
            self.file = file;
        } else if let Some(candidate) = self.waiting.front() {
            let (folder, mapping, config) = (&self.folder, &self.mapping, &self.config);
            let file = OpenFile::open(folder, &candidate.name, None, mapping, config).await?;
            if let Some(candidate) = self.waiting.pop_front() {
                self.counters.waiting_files.dec();
                let bytes = i64::try_from(candidate.size).unwrap_or(i64::MAX);
                self.counters.waiting_bytes.sub(bytes);
                if file.is_none() {
                    let (connector, name) = (&*self.connector, &candidate.name);
                    tracing::warn!(
                        connector,
                        file = name,
                        "the file is gone before it was read"
                    );
                }
            }
            self.file = file;
        } else if self.is_to_list() {
            let listing = self.folder.list(&mut self.position.done).await?;
            self.take_listing(listing);
        }
        Ok(())
    }

    fn push(&mut self, name: Arc<str>, row: Row) {
        self.counters.rows.inc();
        if row.record.fault.is_some() {
            self.counters.rejected.inc();
        }
        let batch = &mut self.batch;
        batch.bytes += row.record.record.size();
        batch.records.push(row.record);
        batch.places.push((name, row.line));
        batch.moved = true;
    }

    /// The file was read to its end.
    fn finish(&mut self) {
        self.position.file = None;
        let Some(file) = self.file.take() else {
            return;
        };
        self.batch.moved = true;
        let next = self.waiting.front().map(|next| next.name.as_str());
        let done = &mut self.position.done;
        done.insert(file.name().to_string(), file.version(), next);
        self.counters.files.inc();
        self.counters.bytes.inc_by(file.size());
        let (rows, rejected) = file.counts();
        tracing::info!(
            connector = &*self.connector,
            file = &**file.name(),
            rows,
            rejected,
            bytes = file.size(),
            "the file is read"
        );
    }

    fn take_listing(&mut self, listing: Listing) {
        self.position.done.listed();
        let connector = &*self.connector;
        if let Some((first, count)) = &listing.changed {
            self.counters.changed.inc_by(*count);
            tracing::warn!(
                connector,
                file = first,
                count,
                "files changed after they had been read, and are not read again: give new data a new name"
            );
        }
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.counters.waiting_files.set(count(listing.count as u64));
        self.counters.waiting_bytes.set(count(listing.bytes));
        let now = Instant::now();
        let is_all = listing.files.len() == listing.count;
        self.waiting = listing.files.into_values().collect();
        self.listing = match self.config.poll_interval {
            _ if !is_all => Some(now),
            Some(interval) => Some(now + interval.0),
            None => None,
        };
    }

    fn take_batch(&mut self) -> SourceBatch {
        self.batch.moved = false;
        // Two blocks, the row that is being read, and the batch itself.
        let blocks = if self.file.is_some() {
            2 * BLOCK as usize
        } else {
            0
        };
        self.held.set(blocks + self.batch.bytes);
        self.batch.bytes = 0;
        let file = self.file.as_ref().map(OpenFile::position);
        let position = store(&self.position.done, file.as_ref());
        SourceBatch {
            records: std::mem::take(&mut self.batch.records),
            position: Some(position),
        }
    }
}
