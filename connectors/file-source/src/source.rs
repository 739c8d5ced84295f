//! The source, as the worker runs it.

use async_trait::async_trait;
use penstock_connect::{Error, Source, SourceBatch, TaskContext};
use penstock_registry::RegistryClient;
use serde_json::Value;

use crate::columns::Mapping;
use crate::config::FileSourceConfig;
use crate::event::EventMaker;
use crate::folder::Folder;
use crate::position::Position;
use crate::reader::Reader;
use crate::target::Target;

/// Rows of files as records. The first task of a connector reads; others have nothing to do, since
/// files are read in order.
pub struct FileSource {
    config: FileSourceConfig,
    context: TaskContext,
    registry: RegistryClient,
    reader: Option<Reader>,
}

impl FileSource {
    /// A source for one task. The registry knows the pinned schema.
    pub fn new(
        config: FileSourceConfig,
        context: &TaskContext,
        registry: RegistryClient,
    ) -> Result<Self, Error> {
        Ok(Self {
            config,
            context: context.clone(),
            registry,
            reader: None,
        })
    }
}

#[async_trait]
impl Source for FileSource {
    fn replayable(&self) -> bool {
        true
    }

    async fn open(&mut self, position: Option<Value>) -> Result<(), Error> {
        self.reader = None;
        if self.context.task > 0 {
            tracing::info!(
                connector = &*self.context.connector,
                task = self.context.task,
                "task 0 reads all files; this one has nothing to do"
            );
            return Ok(());
        }
        let keys = &self.config.keys;
        let position = Position::load(position)?;
        let target = Target::find(&self.registry, keys.schema.as_ref()).await?;
        let mapping = Mapping::new(&self.config, EventMaker::new(keys, target)?)?;
        let folder = Folder::open(&self.config).await?;
        self.reader = Some(Reader::new(
            &self.context,
            keys.clone(),
            folder,
            mapping,
            position,
        ));
        Ok(())
    }

    fn limit(&mut self, records: Option<usize>) {
        if let Some(reader) = &mut self.reader {
            reader.limit(records);
        }
    }

    async fn poll(&mut self) -> Result<SourceBatch, Error> {
        match &mut self.reader {
            Some(reader) => reader.poll().await,
            None if self.config.keys.poll_interval.is_none() => Ok(SourceBatch::default()),
            None => std::future::pending().await,
        }
    }

    fn place(&self, index: usize) -> Option<String> {
        self.reader.as_ref()?.place(index)
    }

    fn is_finished(&self) -> bool {
        match &self.reader {
            Some(reader) => reader.finished,
            None => self.config.keys.poll_interval.is_none(),
        }
    }

    async fn close(&mut self) {
        self.reader = None;
    }
}
