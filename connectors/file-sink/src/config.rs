//! Configuration of the file sink.

use penstock_connect::config::{ByteSize, Millis};
use penstock_connect::{choice, config};
use penstock_files::Content;

use crate::template::PathTemplate;

choice! {
    /// How files are compressed. Each flush ends a gzip member or zstd frame.
    pub enum Compression {
        /// Plain text.
        None = "none",
        /// gzip; the name of the file ends in `.gz`.
        Gzip = "gzip",
        /// zstd; the name of the file ends in `.zst`.
        Zstd = "zstd",
    }
}

choice! {
    /// What happens to a record whose value is null (a tombstone).
    pub enum NullValues {
        /// Writes `null`.
        Write = "write",
        /// Leaves it out, counted.
        Ignore = "ignore",
        /// Rejects it.
        Fail = "fail",
    }
}

config! {
    /// Writes records as JSON lines, one file for each topic and partition, exactly once across
    /// kills and restarts. Beside each file lies `FILE.position`, which belongs to it.
    #[check(check)]
    pub struct FileSinkConfig {
        /// Path of the files, with `{topic}` and `{partition}` in it. Directories are made as needed. The topic is the one that the record was read from.
        "file" => file: PathTemplate,
        /// How files are compressed: `none`, `gzip` or `zstd`.
        "file.compression.type" => compression: Compression = "none",
        /// A file of at least this size is closed at the next flush and gets the offset of its first record into its name.
        "rotate.bytes" => rotate_bytes: Option<ByteSize>,
        /// A file whose first record was written this long ago is closed at the next flush, whether or not records come, and gets the offset of its first record into its name.
        "rotate.ms" => rotate_age: Option<Millis>,
        /// What stands in a line: `value` alone is the value itself; a list of `key`, `value`, `offset`, `timestamp`, `headers` is an object with these members.
        "fields" => fields: Content = "value",
        /// What happens to records whose value is null: `write`, `ignore` or `fail`.
        "behavior.on.null.values" => null_values: NullValues = "write",
        /// How many partitions may have their files open at a time.
        "max.open.files" => max_open: usize = "256",
    }
}

fn check(config: &FileSinkConfig) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let file = config.file.text();
    let ending = |ending: &str| file.ends_with(ending);
    match config.compression {
        Compression::None if ending(".gz") || ending(".zst") => {
            problems.push((
                "file",
                "ends as a compressed file does, but file.compression.type is none".to_owned(),
            ));
        }
        Compression::Gzip if !ending(".gz") => {
            problems.push(("file", "must end in .gz with gzip compression".to_owned()));
        }
        Compression::Zstd if !ending(".zst") => {
            problems.push(("file", "must end in .zst with zstd compression".to_owned()));
        }
        _ => {}
    }
    if config.rotate_bytes.is_some_and(|size| size.0 == 0) {
        problems.push(("rotate.bytes", "must be at least 1".to_owned()));
    }
    if config.rotate_age.is_some_and(|age| age.0.is_zero()) {
        problems.push(("rotate.ms", "must be at least 1".to_owned()));
    }
    if config.max_open == 0 {
        problems.push(("max.open.files", "must be at least 1".to_owned()));
    }
    problems
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use penstock_connect::{Config, Settings};

    fn problems(text: &str) -> Vec<String> {
        let settings = Settings::parse("s.properties", text).unwrap();
        FileSinkConfig::read_all(settings).map_or_else(
            |found| found.iter().map(ToString::to_string).collect(),
            |_| vec![],
        )
    }

    #[test]
    fn a_path_alone_is_enough() {
        assert!(problems("file=out/{topic}-{partition}.jsonl").is_empty());
    }

    #[test]
    fn paths_that_two_partitions_could_share_are_refused_with_what_to_write() {
        for (file, expected) in [
            (
                "out/all.jsonl",
                "must contain {topic} and {partition}, or several partitions would write the same file (out/{topic}-{partition}.jsonl)",
            ),
            (
                "out/{topic}.jsonl",
                "must contain {topic} and {partition}, or several partitions would write the same file (out/{topic}-{partition}.jsonl)",
            ),
            (
                "out/{topic}{partition}",
                "needs something other than digits between {topic} and {partition}, or two partitions could get the same file",
            ),
            (
                "out/{topic}/{date}-{partition}",
                "{date} is not known; use {topic} and {partition}",
            ),
            ("out/{topic}-{partition", "has a { without its }"),
            (
                "{topic}-{partition}/",
                "ends in a slash and so names no file",
            ),
        ] {
            assert_eq!(
                problems(&format!("file={file}")),
                [format!("s.properties:1: file: {expected}")]
            );
        }
    }

    #[test]
    fn the_ending_says_how_the_file_is_compressed() {
        for (file, compression, good) in [
            ("jsonl.gz", "gzip", true),
            ("jsonl.zst", "zstd", true),
            ("jsonl", "gzip", false),
            ("jsonl.gz", "zstd", false),
            ("jsonl.gz", "none", false),
        ] {
            let text =
                format!("file={{topic}}-{{partition}}.{file}\nfile.compression.type={compression}");
            assert_eq!(problems(&text).is_empty(), good, "{file} {compression}");
        }
    }

    #[test]
    fn sizes_and_ages_of_nothing_are_refused() {
        let text = "file={topic}-{partition}\nrotate.bytes=0\nrotate.ms=0\nmax.open.files=0";
        assert_eq!(problems(text).len(), 3);
    }
}
