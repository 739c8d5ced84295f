//! One file that is being read.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use penstock_connect::{Error, Record, RecordError, RecordErrorKind, SourceRecord};
use penstock_formats::{Encoding, Payload};
use penstock_objects::Store;

use crate::body::{Body, BodyError, skip_mark};
use crate::columns::{Mapping, Plan};
use crate::config::FileSourceKeys;
use crate::folder::{Folder, form};
use crate::position::FilePosition;
use crate::rows::{Found, RowFormat, Rows};

/// A file, open at a row.
pub(crate) struct OpenFile {
    name: Arc<str>,
    store: Store,
    body: Body,
    /// `None` once there is nothing more to read.
    rows: Option<Rows>,
    /// `None` for JSON lines.
    plan: Option<Plan>,
    /// What is wrong with the rest of the file.
    fault: Option<RecordError>,
    count: u64,
    rejected: u64,
    max_row: usize,
}

/// A row's record, and the line that it begins on.
pub(crate) struct Row {
    pub(crate) record: SourceRecord,
    pub(crate) line: u64,
}

impl OpenFile {
    /// Opens a file at its beginning, or where it was left. `None` if it is not there any more.
    pub(crate) async fn open(
        folder: &Folder,
        name: &str,
        left: Option<&FilePosition>,
        mapping: &Mapping,
        config: &FileSourceKeys,
    ) -> Result<Option<Self>, Error> {
        let (format, compression) = form(name, config)?;
        let location: Path = folder.location(name)?;
        let body = match Body::look(folder.store(), &location, compression).await {
            Ok(body) => body,
            Err(BodyError::Gone) if left.is_none() => return Ok(None),
            Err(error) => {
                return Err(task_error(
                    folder.store(),
                    name,
                    left.map_or(0, |left| left.rows),
                    error,
                ));
            }
        };
        if let Some(left) = left
            && (left.size, &left.etag) != (body.size, &body.etag)
        {
            return Err(task_error(
                folder.store(),
                name,
                left.rows,
                BodyError::Changed,
            ));
        }
        let mut file = Self {
            name: name.into(),
            store: folder.store().clone(),
            body,
            rows: None,
            plan: None,
            fault: None,
            count: 0,
            rejected: 0,
            max_row: usize::try_from(config.max_row.0).unwrap_or(usize::MAX),
        };
        if let Err(error) = file.begin(format, mapping, config).await? {
            file.fail(error)?;
        }
        if let Some(left) = left
            && let Err(error) = file.resume(format, left).await
        {
            file.fail(error)?;
        }
        Ok(Some(file))
    }

    /// Goes to the first row.
    async fn begin(
        &mut self,
        format: RowFormat,
        mapping: &Mapping,
        config: &FileSourceKeys,
    ) -> Result<io::Result<()>, Error> {
        if self.body.size == 0 {
            return Ok(Ok(()));
        }
        let (input, skipped) = match skip_mark(self.body.read()).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(encoding)) => {
                self.fault = Some(RecordError::malformed(format!(
                    "{}:1: the file is {encoding}, and only UTF-8 is read",
                    self.name
                )));
                return Ok(Ok(()));
            }
            Err(error) => return Ok(Err(error)),
        };
        let mut rows = Rows::new(input, format, self.max_row, (skipped, 0));
        if matches!(format, RowFormat::Csv { .. }) {
            let header = if config.header.0.is_empty() {
                match rows.next().await {
                    Ok(Found::End) => return Ok(Ok(())),
                    Ok(Found::Row) => header(&rows).ok_or("is not UTF-8"),
                    Ok(Found::TooLarge) => Err("is larger than row.max.bytes"),
                    Ok(Found::OpenQuote) => Err("has an opening quote and no closing one"),
                    Err(error) => return Ok(Err(error)),
                }
            } else {
                Ok(config.header.0.clone())
            };
            let place = format!("{}:{}", self.name, rows.line());
            let header = header
                .map_err(|problem| Error::never(format!("{place}: the header line {problem}")))?;
            let plan = mapping.plan(&header);
            self.plan = Some(plan.map_err(|why| Error::never(format!("{place}: {why}")))?);
        }
        self.rows = Some(rows);
        Ok(Ok(()))
    }

    /// Goes to where the file was left.
    async fn resume(&mut self, format: RowFormat, left: &FilePosition) -> io::Result<()> {
        let Some(rows) = &mut self.rows else {
            return Ok(());
        };
        if left.rows == 0 {
            return Ok(());
        }
        if let Some(input) = self.body.enter(left.offset) {
            let begun = (left.offset, left.lines);
            *rows = Rows::new(input, format, self.max_row, begun);
        } else {
            for _ in 0..left.rows {
                if rows.next().await? == Found::End {
                    break;
                }
            }
        }
        self.count = left.rows;
        self.rejected = left.rejected;
        Ok(())
    }

    /// The next row; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&mut self, mapping: &mut Mapping) -> Result<Option<Row>, Error> {
        let found = match (&self.fault, &mut self.rows) {
            (Some(_), _) => None,
            (None, None) => return Ok(None),
            (None, Some(rows)) => match rows.next().await {
                Ok(found) => Some(found),
                Err(error) => {
                    self.fail(error)?;
                    None
                }
            },
        };
        let (fault, raw) = match (found, &self.rows) {
            (Some(Found::End), _) => {
                self.rows = None;
                return Ok(None);
            }
            (Some(found), Some(rows)) => {
                let made = match found {
                    Found::TooLarge => Err(RecordError::new(
                        RecordErrorKind::TooLarge,
                        format!(
                            "the row is larger than {} bytes (row.max.bytes), perhaps since a quote is not closed; its \
                             data was not kept",
                            self.max_row
                        ),
                    )),
                    Found::OpenQuote => Err(RecordError::malformed(
                        "the row has an opening quote and no closing one before the end of the file",
                    )),
                    Found::Row | Found::End => match &self.plan {
                        Some(plan) => {
                            let (values, ends) = rows.values();
                            mapping.row(plan, values, ends)
                        }
                        None => mapping.line(rows.raw()),
                    },
                };
                let line = rows.line();
                match made {
                    Ok(record) => {
                        self.count += 1;
                        let record = SourceRecord::new(record);
                        return Ok(Some(Row { record, line }));
                    }
                    Err(fault) => {
                        let message = format!("{}:{line}: {}", self.name, fault.message);
                        let raw = Bytes::copy_from_slice(rows.raw());
                        (RecordError { message, ..fault }, raw)
                    }
                }
            }
            // The rest of the file is at fault.
            _ => {
                let Some(fault) = self.fault.take() else {
                    return Ok(None);
                };
                (fault, Bytes::new())
            }
        };
        let line = self.rows.as_ref().map_or(1, Rows::line);
        if found.is_none() {
            self.rows = None;
        }
        self.count += 1;
        self.rejected += 1;
        let topic = Arc::clone(mapping.events.topic());
        let raw = (!raw.is_empty()).then(|| Payload::new(raw, Encoding::Bytes));
        let record = SourceRecord::faulty(Record::new(topic, raw), fault);
        Ok(Some(Row { record, line }))
    }

    /// Bytes that cannot be had: of a damaged file the rest is rejected; anything else is the task's.
    fn fail(&mut self, error: io::Error) -> Result<(), Error> {
        match BodyError::of(error) {
            BodyError::Damaged(error) => {
                let line = self.rows.as_ref().map_or(1, Rows::line);
                self.fault = Some(RecordError::malformed(format!(
                    "{}:{line}: the compressed file is damaged, and is read no further: {error}",
                    self.name
                )));
                Ok(())
            }
            other => Err(task_error(&self.store, &self.name, self.count, other)),
        }
    }

    /// Whether nothing more will come.
    pub(crate) fn is_ended(&self) -> bool {
        self.rows.is_none() && self.fault.is_none()
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its size in the store.
    pub(crate) fn size(&self) -> u64 {
        self.body.size
    }

    /// What it is known by besides its name.
    pub(crate) fn version(&self) -> u32 {
        self.body.version
    }

    /// Rows so far, and those of them that were rejected.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.count, self.rejected)
    }

    /// Where the next row is.
    pub(crate) fn position(&self) -> FilePosition {
        let (offset, lines) = self.rows.as_ref().map_or((0, 0), Rows::place);
        FilePosition {
            name: self.name.to_string(),
            size: self.body.size,
            etag: self.body.etag.clone(),
            rows: self.count,
            offset,
            lines,
            rejected: self.rejected,
        }
    }
}

/// The names in a header line, without the blanks around them.
fn header(rows: &Rows) -> Option<Vec<String>> {
    let (values, ends) = rows.values();
    let mut start = 0;
    ends.iter()
        .map(|end| {
            let name = values.get(start..*end)?;
            start = *end;
            Some(std::str::from_utf8(name).ok()?.trim().to_owned())
        })
        .collect()
}

fn task_error(store: &Store, name: &str, rows: u64, error: BodyError) -> Error {
    match error {
        BodyError::Gone => Error::never(format!(
            "{name} is gone, and only {rows} of its rows were read: put it back, or delete the stored position to \
             begin anew"
        )),
        BodyError::Changed => Error::never(format!(
            "{name} changed after {rows} of its rows were read, and nobody can tell which of the others are new: put \
             back what was there, or delete the stored position to begin anew (files have to be complete when they \
             appear: write them elsewhere and rename them)"
        )),
        BodyError::Store(error) => store.failure(&format!("does not give {name}"), error),
        BodyError::Task(error) => {
            Error::reconnect(format!("cannot read {name}")).with_source(error)
        }
        BodyError::Damaged(error) => {
            Error::reconnect(format!("cannot read {name}")).with_source(error)
        }
    }
}
