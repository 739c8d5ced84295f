//! Waits for the lines of a file that a job writes.

use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use memchr::memchr_iter;

use crate::PATIENCE;

const POLL: Duration = Duration::from_millis(20);

#[derive(Args)]
pub(crate) struct Lines {
    /// How many lines there have to be.
    #[arg(long)]
    lines: usize,
    /// The process that writes; waiting ends with an error when it has ended.
    #[arg(long)]
    process: u32,
    file: PathBuf,
}

impl Lines {
    /// Reads along; returns how long the first line took.
    pub(crate) fn run(self) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        let process = Path::new("/proc").join(self.process.to_string());
        let mut file: Option<File> = None;
        let mut buffer = vec![0; 1 << 20];
        let mut lines = 0;
        let mut first = None;
        while lines < self.lines {
            let read = match &mut file {
                Some(file) => file.read(&mut buffer)?,
                None => match File::open(&self.file) {
                    Ok(opened) => {
                        file = Some(opened);
                        continue;
                    }
                    Err(error) if error.kind() == ErrorKind::NotFound => 0,
                    Err(error) => return Err(error.into()),
                },
            };
            lines += memchr_iter(b'\n', &buffer[..read]).count();
            if lines > 0 {
                first.get_or_insert_with(|| start.elapsed());
            }
            if read == 0 {
                if !process.exists() || start.elapsed() > PATIENCE {
                    return Err(format!("the file has only {lines} lines").into());
                }
                thread::sleep(POLL);
            }
        }
        Ok(first.unwrap_or_else(|| start.elapsed()))
    }
}
