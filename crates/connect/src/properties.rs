//! Properties files: every value knows the file and line it came from, references to secrets are
//! resolved, and what nobody asked for is reported with a suggestion.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use java_properties::{LineContent, PropertiesIter};
use regex::Regex;

/// Something wrong in a file that a user wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the whole file is meant.
    pub line: usize,
    /// The full key, when one is to blame.
    pub key: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// One value with its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value as written, references unresolved: what REST shows and topics store.
    pub written: String,
    /// Line in the file, from 1; 0 for settings that came over REST.
    pub line: usize,
    resolved: Option<String>,
}

impl Setting {
    /// The value with its references resolved.
    pub fn value(&self) -> &str {
        self.resolved.as_deref().unwrap_or(&self.written)
    }
}

impl fmt::Debug for Setting {
    // The resolved value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (line {})", self.written, self.line)
    }
}

/// The settings of one file, or of one prefix within it. Whoever understands a key takes it out;
/// what is left at the end is unknown.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    file: Arc<str>,
    prefix: String,
    entries: BTreeMap<String, Setting>,
}

impl Settings {
    /// Parses the text of a properties file (`java.util.Properties` syntax, UTF-8). `file` is the
    /// name used in messages. A key given twice is a problem: the Java loader silently keeps the last.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut settings = Self {
            file: file.into(),
            ..Self::default()
        };
        let mut problems = Vec::new();
        for line in PropertiesIter::new_with_encoding(text.as_bytes(), encoding_rs::UTF_8) {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    let number = error.line_number().unwrap_or(0);
                    let text = error.to_string();
                    // It repeats the line.
                    let what = text.split(" (line_number").next().unwrap_or(&text);
                    let message = format!("not a properties file: {}", what.trim_end_matches('.'));
                    problems.push(settings.problem_at(number, None, message));
                    break;
                }
            };
            let number = line.line_number();
            let LineContent::KVPair(key, value) = line.consume_content() else {
                continue;
            };
            let setting = Setting {
                written: value.trim_end().to_owned(),
                line: number,
                resolved: None,
            };
            if let Some(first) = settings.entries.get(&key) {
                let message = format!(
                    "given twice (first on line {}); keep one of them",
                    first.line
                );
                problems.push(settings.problem_at(number, Some(key), message));
                continue;
            }
            settings.entries.insert(key, setting);
        }
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }

    /// Settings that did not come from a file (REST); `label` stands in messages where a file name would.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(
        label: &str,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let entries = pairs
            .into_iter()
            .map(|(key, value)| {
                (
                    key.into(),
                    Setting {
                        written: value.into(),
                        line: 0,
                        resolved: None,
                    },
                )
            })
            .collect();
        Self {
            file: label.into(),
            prefix: String::new(),
            entries,
        }
    }

    /// The name of the file, as used in messages.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The pairs as written (references unresolved), with full keys.
    pub fn written(&self) -> BTreeMap<String, String> {
        self.entries
            .iter()
            .map(|(key, s)| (format!("{}{key}", self.prefix), s.written.clone()))
            .collect()
    }

    /// Looks at a value without taking it.
    pub fn get(&self, key: &str) -> Option<&Setting> {
        self.entries.get(key)
    }

    /// Sets a value, in the place of one that is given.
    pub fn set(&mut self, key: &str, value: &str) {
        let line = self.line(key);
        self.entries.insert(
            key.to_owned(),
            Setting {
                written: value.to_owned(),
                line,
                resolved: None,
            },
        );
    }

    /// Gives a value another key, if it is there.
    pub fn rename(&mut self, old: &str, new: &str) {
        if let Some(setting) = self.entries.remove(old) {
            self.entries.insert(new.to_owned(), setting);
        }
    }

    /// The line that a key stands on; 0 if it is not there.
    pub fn line(&self, key: &str) -> usize {
        self.entries.get(key).map_or(0, |setting| setting.line)
    }

    /// Takes a value out.
    pub fn take(&mut self, key: &str) -> Option<Setting> {
        self.entries.remove(key)
    }

    /// Takes out everything whose key begins with `prefix`; keys of the result are relative to it.
    #[must_use]
    pub fn take_prefix(&mut self, prefix: &str) -> Self {
        let keys: Vec<String> = self
            .entries
            .range(prefix.to_owned()..)
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .cloned()
            .collect();
        let mut entries = BTreeMap::new();
        for key in keys {
            if let Some(setting) = self.entries.remove(&key) {
                entries.insert(key[prefix.len()..].to_owned(), setting);
            }
        }
        Self {
            file: self.file.clone(),
            prefix: format!("{}{prefix}", self.prefix),
            entries,
        }
    }

    /// Keys that are left, relative to the prefix.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The full key of a relative one.
    pub fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// A problem with `key` (relative), which may be absent from the file.
    pub fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        self.problem_at(self.line(key), Some(key.to_owned()), message)
    }

    /// A problem at a line, for a value that was taken out already.
    pub fn problem_at(
        &self,
        line: usize,
        key: Option<String>,
        message: impl Into<String>,
    ) -> Problem {
        Problem {
            file: self.file.clone(),
            line,
            key: key.map(|key| self.full_key(&key)),
            message: message.into(),
        }
    }

    /// Reports what is left as unknown, with the nearest of `known` (relative keys) as a suggestion.
    pub fn report_unknown<'a>(
        &self,
        known: impl IntoIterator<Item = &'a str>,
        problems: &mut Vec<Problem>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        for key in self.entries.keys() {
            let message = match nearest(key, known.iter().copied()) {
                Some(near) => format!("unknown key; did you mean {}?", self.full_key(near)),
                None => "unknown key".to_owned(),
            };
            problems.push(self.problem(key, message));
        }
    }

    /// Resolves `${env:VAR}`, `${file:path:key}` and `${directory:dir:file}` in every value.
    /// Relative paths are taken from the working directory, as Kafka's providers do.
    pub fn resolve(&mut self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut resolved = Vec::new();
        for (key, setting) in &self.entries {
            match resolve(&setting.written) {
                Ok(None) => {}
                Ok(Some(value)) => resolved.push((key.clone(), value)),
                Err(message) => problems.push(self.problem(key, message)),
            }
        }
        for (key, value) in resolved {
            if let Some(setting) = self.entries.get_mut(&key) {
                setting.resolved = Some(value);
            }
        }
        problems
    }
}

/// Whether a value is one reference to a secret and nothing else.
pub fn is_reference(written: &str) -> bool {
    #[allow(clippy::expect_used, reason = "the pattern is a literal")]
    static WHOLE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\$\{(env|file|directory):[^}]+\}$").expect("the pattern compiles")
    });
    WHOLE.is_match(written.trim())
}

/// The candidate nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The value with its references replaced; `None` when it has none. Messages never hold a value.
fn resolve(written: &str) -> Result<Option<String>, String> {
    #[allow(clippy::expect_used, reason = "the pattern is a literal")]
    static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\$\{(env|file|directory):((?:[^:}]*):)?([^:}]*)\}")
            .expect("the pattern compiles")
    });
    if !written.contains("${") {
        return Ok(None);
    }
    let mut out = String::with_capacity(written.len());
    let mut end = 0;
    let mut found = false;
    for captures in REFERENCE.captures_iter(written) {
        let Some(whole) = captures.get(0) else {
            continue;
        };
        found = true;
        let path = captures.get(2).map(|m| m.as_str().trim_end_matches(':'));
        let name = &captures[3];
        out.push_str(&written[end..whole.start()]);
        out.push_str(&match (&captures[1], path) {
            ("env", None) => std::env::var(name)
                .map_err(|_| format!("the environment variable {name} is not set"))?,
            ("file", Some(path)) => file_key(path, name)?,
            ("directory", Some(dir)) => directory_file(dir, name)?,
            (provider, _) => {
                return Err(format!(
                    "{} is not a reference: write ${{env:VAR}}, ${{file:path:key}} or ${{directory:dir:file}} ({provider} takes other parts)",
                    whole.as_str()
                ));
            }
        });
        end = whole.end();
    }
    if !found {
        return Ok(None);
    }
    out.push_str(&written[end..]);
    Ok(Some(out))
}

fn file_key(path: &str, key: &str) -> Result<String, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let mut settings = Settings::parse(path, &text).map_err(|problems| {
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")
    })?;
    settings
        .take(key)
        .map(|s| s.written)
        .ok_or_else(|| format!("{path} has no key {key}"))
}

fn directory_file(dir: &str, name: &str) -> Result<String, String> {
    let path = Path::new(dir).join(name);
    if name.contains(['/', '\\']) || name == ".." {
        return Err(format!("{name} is not the name of a file in {dir}"));
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_know_their_lines_and_continue_over_backslashes() {
        let settings =
            Settings::parse("a.properties", "# note\nname=demo\ntopics = a,\\\n  b\n").unwrap();
        assert_eq!(settings.get("topics").unwrap().value(), "a,b");
        assert_eq!(settings.get("name").unwrap().line, 2);
    }

    #[test]
    fn a_key_given_twice_names_both_lines() {
        let problems = Settings::parse("a.properties", "name=x\nname=y\n").unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "a.properties:2: name: given twice (first on line 1); keep one of them"
        );
    }

    #[test]
    fn an_unknown_key_gets_the_nearest_known_one() {
        let mut settings = Settings::parse("a.properties", "transforms.k.feild=x\n").unwrap();
        let scoped = settings.take_prefix("transforms.k.");
        let mut problems = Vec::new();
        scoped.report_unknown(["field", "value"], &mut problems);
        assert_eq!(
            problems[0].to_string(),
            "a.properties:1: transforms.k.feild: unknown key; did you mean transforms.k.field?"
        );
    }

    #[test]
    fn references_resolve_and_stay_out_of_what_is_written_and_debugged() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
        std::fs::write(dir.path().join("creds.properties"), "user=ann\n").unwrap();
        let text = format!(
            "a=${{directory:{0}:token}}\nb=x-${{file:{0}/creds.properties:user}}-y\nc=${{year}}\n",
            dir.path().display()
        );
        let mut settings = Settings::parse("a.properties", &text).unwrap();
        assert_eq!(settings.resolve(), vec![]);
        assert_eq!(settings.get("a").unwrap().value(), "s3cret");
        assert_eq!(settings.get("b").unwrap().value(), "x-ann-y");
        assert_eq!(settings.get("c").unwrap().value(), "${year}");
        assert!(!format!("{settings:?}").contains("s3cret"));
        assert!(settings.written()["a"].starts_with("${directory:"));
    }

    #[test]
    fn a_reference_stands_alone() {
        for (written, whole) in [
            ("${env:PASSWORD}", true),
            (" ${file:/run/secrets.properties:password} ", true),
            ("${env:USER}:literal", false),
            ("${env:USER}:${env:PASSWORD}", false),
            ("${year}", false),
            ("${env:", false),
            ("literal", false),
        ] {
            assert_eq!(is_reference(written), whole, "{written}");
        }
    }

    #[test]
    fn a_missing_reference_names_the_key_and_what_is_missing() {
        let mut settings =
            Settings::parse("a.properties", "p=${env:PENSTOCK_NOT_SET_ANYWHERE}\n").unwrap();
        let problems = settings.resolve();
        assert_eq!(
            problems[0].to_string(),
            "a.properties:1: p: the environment variable PENSTOCK_NOT_SET_ANYWHERE is not set"
        );
    }
}
