//! Real servers and clients from package registries, fetched once and kept. What a folder holds
//! is described by its recipe; a folder whose recipe changed or whose fetch was cut short is
//! made anew.

pub mod debian;
pub mod go;
pub mod maven;
pub mod node;
pub mod python;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::{Error, Result, paths};

/// Returns the folder `name` of the cache, made by `fill` if it does not hold `recipe` yet.
/// Waits while another process fetches the same.
fn once(name: &str, recipe: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = paths::cache();
    let dir = cache.join(name);
    let marker = dir.join(".recipe");
    let done = || fs::read_to_string(&marker).is_ok_and(|held| held == recipe);
    if done() {
        return Ok(dir);
    }
    fs::create_dir_all(&cache).map_err(Error::io("make the folder", &cache))?;
    let _lock = lock(&cache.join(format!("{name}.lock")))?;
    if done() {
        return Ok(dir);
    }
    if dir.exists() {
        fs::remove_dir_all(&dir).map_err(Error::io("remove", &dir))?;
    }
    fs::create_dir_all(&dir).map_err(Error::io("make the folder", &dir))?;
    fill(&dir)?;
    fs::write(&marker, recipe).map_err(Error::io("write", &marker))?;
    Ok(dir)
}

/// Takes a lock that other processes respect; it is released when the value is dropped.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).map_err(Error::io("make the lock file", path))?;
    file.lock().map_err(Error::io("lock", path))?;
    Ok(file)
}
