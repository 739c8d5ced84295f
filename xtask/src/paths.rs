//! Where the task's files live: the workspace, fetched artifacts, and the data of one run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, test_kill_process};

use crate::{Error, Result};

/// The workspace's root folder.
#[must_use]
pub fn workspace() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// Cargo's target folder: `$CARGO_TARGET_DIR`, or `target` in the workspace.
#[must_use]
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || workspace().join("target"),
        |dir| workspace().join(PathBuf::from(dir)),
    )
}

/// Where fetched artifacts are kept: `$PENSTOCK_SERVICES_DIR`, or `services` in the target folder.
#[must_use]
pub fn cache() -> PathBuf {
    env::var_os("PENSTOCK_SERVICES_DIR").map_or_else(runs, |dir| workspace().join(dir))
}

/// Where the data of running servers is kept.
#[must_use]
pub fn runs() -> PathBuf {
    target().join("services")
}

/// A folder for the data of one run. It is removed when dropped; what a killed run left behind
/// is removed by the next run.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes an empty folder `run-<process>-<time>`.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn create() -> Result<Self> {
        let parent = runs();
        remove_abandoned(&parent);
        let stamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let path = parent.join(format!("run-{}-{stamp:x}", std::process::id()));
        fs::create_dir_all(&path).map_err(Error::io("make the folder", &path))?;
        Ok(Self { path })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of runs whose process is gone.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix("run-"))
            .and_then(|rest| rest.split('-').next())
            .and_then(|pid| pid.parse().ok())
            .and_then(Pid::from_raw);
        if owner.is_some_and(|pid| test_kill_process(pid).is_err()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
