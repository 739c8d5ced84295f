//! Bytes into rows: CSV records or lines, one at a time, whatever the size of the pieces they come in.

use std::io;
use std::pin::Pin;

use csv_core::{ReadRecordResult, Reader as CsvReader, ReaderBuilder};
use memchr::{memchr, memchr_iter};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A file's bytes, decompressed.
pub(crate) type Input = Pin<Box<dyn AsyncBufRead + Send>>;

/// How rows are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowFormat {
    Csv { delimiter: u8, quote: Option<u8> },
    Lines,
}

/// What [`Rows::next`] found; what the row holds is asked of the [`Rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A row.
    Row,
    /// A row that is larger than allowed; its data is not kept.
    TooLarge,
    /// A row whose last value has an opening quote and no closing one.
    OpenQuote,
    /// The end of the file.
    End,
}

/// Reads rows. What is read of a row stays in here, so that a read that is given up loses nothing.
pub(crate) struct Rows {
    input: Input,
    max: usize,
    csv: Option<Csv>,
    raw: Vec<u8>,
    /// The row is larger than allowed and is only skipped.
    skipping: bool,
    /// Line ends before the row's first character, once that is known.
    begins: Option<u64>,
    in_row: bool,
    offset: u64,
    lines: u64,
}

struct Csv {
    core: CsvReader,
    text: Vec<u8>,
    text_end: usize,
    ends: Vec<usize>,
    ends_end: usize,
}

impl Rows {
    /// Rows from `input`, which begins after so many uncompressed bytes and line ends.
    pub(crate) fn new(
        input: Input,
        format: RowFormat,
        max: usize,
        (offset, lines): (u64, u64),
    ) -> Self {
        let csv = match format {
            RowFormat::Lines => None,
            RowFormat::Csv { delimiter, quote } => Some(Csv::new(delimiter, quote)),
        };
        Self {
            input,
            max,
            csv,
            raw: Vec::new(),
            skipping: false,
            begins: None,
            in_row: false,
            offset,
            lines,
        }
    }

    /// Reads the next row. Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Found> {
        if !self.in_row {
            self.in_row = true;
            self.raw.clear();
            self.skipping = false;
            self.begins = None;
            if let Some(csv) = &mut self.csv {
                (csv.text_end, csv.ends_end) = (0, 0);
            }
        }
        loop {
            let chunk = self.input.fill_buf().await?;
            let at_end = chunk.is_empty();
            let (taken, complete) = match &mut self.csv {
                Some(csv) => csv.read(chunk, self.skipping),
                None => match memchr(b'\n', chunk) {
                    Some(end) => (end + 1, Complete::Row),
                    None if at_end => (0, Complete::End),
                    None => (chunk.len(), Complete::Part),
                },
            };
            let is_blank = |byte: &u8| match self.csv {
                Some(_) => matches!(byte, b'\r' | b'\n'),
                None => byte.is_ascii_whitespace(),
            };
            let taken_bytes = &chunk[..taken];
            let mut row_bytes = taken_bytes;
            if self.begins.is_none() {
                let first = taken_bytes.iter().position(|byte| !is_blank(byte));
                let (before, after) = taken_bytes.split_at(first.unwrap_or(taken));
                let before = memchr_iter(b'\n', before).count() as u64;
                self.begins = first.map(|_| self.lines + before);
                row_bytes = after;
            }
            self.lines += memchr_iter(b'\n', taken_bytes).count() as u64;
            self.offset += taken as u64;
            if !self.skipping {
                self.raw.extend_from_slice(row_bytes);
                if without_line_end(&self.raw).len() > self.max {
                    self.skipping = true;
                    self.raw = Vec::new();
                }
            }
            self.input.as_mut().consume(taken);
            match (complete, self.begins) {
                (Complete::Part, _) => continue,
                // A blank line is no row.
                (Complete::Row, None) => continue,
                _ => self.in_row = false,
            }
            return Ok(match (complete, self.begins) {
                (_, None) => Found::End,
                _ if self.skipping => Found::TooLarge,
                (Complete::OpenQuote, _) => Found::OpenQuote,
                _ => Found::Row,
            });
        }
    }

    /// The row as it stands in the file, without line end. Empty if it was too large.
    pub(crate) fn raw(&self) -> &[u8] {
        without_line_end(&self.raw)
    }

    /// The values of a CSV row, one after the other, and where each ends.
    pub(crate) fn values(&self) -> (&[u8], &[usize]) {
        match &self.csv {
            Some(csv) => (&csv.text[..csv.text_end], &csv.ends[..csv.ends_end]),
            None => (&[], &[]),
        }
    }

    /// Line that the row begins on, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.begins.unwrap_or(self.lines) + 1
    }

    /// Where the next row begins: bytes and line ends before it.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.offset, self.lines)
    }
}

fn without_line_end(row: &[u8]) -> &[u8] {
    let end = row.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n'));
    &row[..end.map_or(0, |end| end + 1)]
}

/// How far a piece of a file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Complete {
    /// Not to the end of a row.
    Part,
    /// To the end of a row.
    Row,
    /// To the end of the file, and so of the row.
    End,
    /// The same, within quotes.
    OpenQuote,
}

impl Csv {
    fn new(delimiter: u8, quote: Option<u8>) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(delimiter);
        match quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let mut core = builder.build();
        let (mut text, mut ends) = (vec![0; 1 << 12], vec![0; 1 << 6]);
        // At its very beginning the reader drops a byte order mark, but not every file is read from
        // its beginning. A blank line is nothing, and takes it past that.
        core.read_record(b"\n", &mut text, &mut ends);
        Self {
            core,
            text,
            text_end: 0,
            ends,
            ends_end: 0,
        }
    }

    /// Reads of `chunk` what belongs to the row; an empty one is the end of the file. Says how many
    /// bytes that is.
    fn read(&mut self, chunk: &[u8], skipping: bool) -> (usize, Complete) {
        if !chunk.is_empty() {
            return self.feed(chunk, skipping);
        }
        // One more line end is the end of the last row, unless that is within quotes.
        let complete = match self.feed(b"\n", skipping).1 {
            Complete::Part => match self.feed(b"", skipping).1 {
                Complete::Row => Complete::OpenQuote,
                other => other,
            },
            other => other,
        };
        (0, complete)
    }

    fn feed(&mut self, chunk: &[u8], skipping: bool) -> (usize, Complete) {
        let mut taken = 0;
        loop {
            if skipping {
                (self.text_end, self.ends_end) = (0, 0);
            }
            let (result, read, written, ended) = self.core.read_record(
                &chunk[taken..],
                &mut self.text[self.text_end..],
                &mut self.ends[self.ends_end..],
            );
            taken += read;
            self.text_end += written;
            self.ends_end += ended;
            match result {
                ReadRecordResult::InputEmpty => return (taken, Complete::Part),
                ReadRecordResult::OutputFull => self.text.resize(self.text.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => return (taken, Complete::Row),
                ReadRecordResult::End => return (taken, Complete::End),
            }
        }
    }
}

#[cfg(test)]
mod tests;
