//! Where a partition's files lie, and what has to be done around them: directories, names that
//! survive a power failure, and whether an open file is still the one at its path.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use penstock_connect::{Error, TopicPartition};

use crate::failure::{failed, sync_failed};
use crate::sidecar;
use crate::template::PathTemplate;

/// Where a partition's files lie.
#[derive(Debug)]
pub(crate) struct Place {
    partition: TopicPartition,
    template: Arc<PathTemplate>,
    /// The file that is written to.
    pub(crate) data: PathBuf,
    /// Its sidecar.
    pub(crate) sidecar: PathBuf,
}

impl Place {
    /// Of a partition; makes the directories.
    pub(crate) fn prepare(
        template: &Arc<PathTemplate>,
        partition: &TopicPartition,
    ) -> Result<Self, Error> {
        let data = template.active(&partition.topic, partition.partition);
        create_directory_of(&data)?;
        Ok(Self {
            partition: partition.clone(),
            template: template.clone(),
            sidecar: sidecar::path_of(&data),
            data,
        })
    }

    /// Path of a complete file.
    pub(crate) fn complete(&self, first: i64) -> PathBuf {
        self.template
            .complete(&self.partition.topic, self.partition.partition, first)
    }
}

/// Length of the file; `None` if there is none.
pub(crate) fn length_of(path: &Path) -> Result<Option<u64>, Error> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, error)),
    }
}

/// Whether the path names the open file.
#[cfg(unix)]
pub(crate) fn is_at(file: &File, path: &Path) -> Result<bool, Error> {
    use std::os::unix::fs::MetadataExt;
    let open = file
        .metadata()
        .map_err(|error| failed("read", path, error))?;
    match std::fs::metadata(path) {
        Ok(named) => Ok(open.ino() == named.ino() && open.dev() == named.dev()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("read", path, error)),
    }
}

#[cfg(not(unix))]
pub(crate) fn is_at(_file: &File, path: &Path) -> Result<bool, Error> {
    // An open file cannot be moved there.
    Ok(length_of(path)?.is_some())
}

/// Makes the directories above `path`, each durable before what lies in it.
fn create_directory_of(path: &Path) -> Result<(), Error> {
    let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    if parent.is_dir() {
        return Ok(());
    }
    create_directory_of(parent)?;
    match std::fs::create_dir(parent) {
        Ok(()) => sync_directory_of(parent),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && parent.is_dir() => Ok(()),
        Err(error) => Err(failed("create the directory", parent, error)),
    }
}

/// Makes a new or changed name durable.
#[cfg(unix)]
pub(crate) fn sync_directory_of(path: &Path) -> Result<(), Error> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(parent)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| sync_failed(parent, error))
}

#[cfg(not(unix))]
pub(crate) fn sync_directory_of(_path: &Path) -> Result<(), Error> {
    // Directories cannot be opened there.
    Ok(())
}
