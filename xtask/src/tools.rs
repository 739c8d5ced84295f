//! Programs that the machine must have, and what to say when one is missing.

use std::env;
use std::path::PathBuf;

use crate::{Error, Result};

/// A program and what to install for it.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    name: &'static str,
    hint: &'static str,
}

/// Runs Kafka and the schema registry.
pub const JAVA: Tool = Tool {
    name: "java",
    hint: "install a JDK or JRE, version 17 or newer (Debian: openjdk-17-jre-headless)",
};
/// Fetches Kafka and the schema registry.
pub const MAVEN: Tool = Tool {
    name: "mvn",
    hint: "install Apache Maven 3.8 or newer (Debian: maven)",
};
/// Builds the object stores and the checker of compose files.
pub const GO: Tool = Tool {
    name: "go",
    hint: "install Go 1.26 or newer (https://go.dev/dl)",
};
/// Runs the Confluent and Tink clients that check our formats.
pub const PYTHON: Tool = Tool {
    name: "python3",
    hint: "install Python 3.9 or newer with the venv module (Debian: python3 python3-venv)",
};
/// Unpacks the schema registry.
pub const TAR: Tool = Tool {
    name: "tar",
    hint: "install GNU tar",
};

impl Tool {
    /// The program's path.
    ///
    /// # Errors
    /// [`Error::MissingTool`] when it is not on the `PATH`.
    pub fn require(self) -> Result<PathBuf> {
        find(self.name).ok_or(Error::MissingTool {
            tool: self.name,
            hint: self.hint,
        })
    }
}

/// The first file of that name in the folders of `PATH`.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
