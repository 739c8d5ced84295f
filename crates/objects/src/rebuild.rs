//! Files that were announced and whose objects never appeared: the same records go into a file of the
//! same name once more, up to the same last one, whatever rotation says.

use std::collections::HashMap;
use std::sync::Arc;

use crate::entry::Announced;
use crate::partition::{File, Place};

/// A file that has ended.
pub(crate) enum Ended<B> {
    /// It has all its records.
    File(Box<File<B>>),
    /// It was rebuilt, and fewer records came than it had when it was announced.
    Short(Box<File<B>>, u64),
    /// It was to be rebuilt, and not one of its records came.
    Vanished(Box<Announced>),
}

struct Rebuild<B> {
    what: Announced,
    file: Option<Box<File<B>>>,
}

impl<B> Rebuild<B> {
    fn holds(&self, offset: i64) -> bool {
        (self.what.first..=self.what.last).contains(&offset)
    }
}

/// The files of one partition that are rebuilt.
pub(crate) struct Rebuilds<B> {
    by_key: HashMap<Arc<str>, Vec<Rebuild<B>>>,
    /// The least last offset.
    due: i64,
}

impl<B> Rebuilds<B> {
    pub(crate) fn new() -> Self {
        Self {
            by_key: HashMap::new(),
            due: i64::MAX,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// A file is to be rebuilt.
    pub(crate) fn expect(&mut self, what: Announced) {
        self.due = self.due.min(what.last);
        let rebuilds = self.by_key.entry(what.key.clone()).or_default();
        rebuilds.push(Rebuild { what, file: None });
    }

    /// Where a record goes that belongs to a file that is rebuilt.
    pub(crate) fn find(&mut self, key: &str, offset: i64) -> Option<Place<'_, B>> {
        let mut rebuilds = self.by_key.get_mut(key)?.iter_mut();
        let rebuild = rebuilds.find(|rebuild| rebuild.holds(offset))?;
        Some(match &mut rebuild.file {
            Some(file) => Place::File(file),
            None => Place::New(Some((
                rebuild.what.name.clone(),
                rebuild.what.stamp.clone(),
            ))),
        })
    }

    /// Takes a file that begins, if it is one that is rebuilt.
    pub(crate) fn begin(
        &mut self,
        offset: i64,
        mut file: Box<File<B>>,
    ) -> Result<(), Box<File<B>>> {
        let mut rebuilds = self.by_key.get_mut(&file.what.key).into_iter().flatten();
        let Some(rebuild) = rebuilds.find(|rebuild| rebuild.holds(offset)) else {
            return Err(file);
        };
        file.what.first = rebuild.what.first;
        file.what.contents.clone_from(&rebuild.what.contents);
        rebuild.file = Some(file);
        Ok(())
    }

    /// Ends the files whose last record lies before this offset.
    pub(crate) fn end_before(&mut self, offset: i64, ended: &mut Vec<Ended<B>>) {
        if self.due >= offset {
            return;
        }
        self.due = i64::MAX;
        self.by_key.retain(|_, rebuilds| {
            for rebuild in rebuilds.extract_if(.., |rebuild| rebuild.what.last < offset) {
                let rows = rebuild.what.rows;
                ended.push(match rebuild.file {
                    None => Ended::Vanished(Box::new(rebuild.what)),
                    Some(file) if file.what.rows < rows => Ended::Short(file, rows),
                    Some(file) => Ended::File(file),
                });
            }
            let last = rebuilds.iter().map(|rebuild| rebuild.what.last);
            self.due = last.chain([self.due]).min().unwrap_or(i64::MAX);
            !rebuilds.is_empty()
        });
    }

    /// The files that have taken records.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &File<B>> {
        self.by_key
            .values()
            .flatten()
            .filter_map(|rebuild| rebuild.file.as_deref())
    }

    /// As the journal names them.
    pub(crate) fn announced(&self) -> impl Iterator<Item = &Announced> {
        self.by_key.values().flatten().map(|rebuild| &rebuild.what)
    }
}
