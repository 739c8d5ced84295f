//! Licences of all dependencies, held against the list in `deny.toml`, as their packages name them:
//! SPDX expressions <https://spdx.github.io/spdx-spec/v3.0.1/annexes/spdx-license-expressions/>.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde::Deserialize;

use crate::suite::cargo;
use crate::{Error, Result, paths};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
}

/// Checks every package that the lock file names, for all platforms.
///
/// # Errors
/// One line for each package that may not be used under any of the licences in the list.
pub fn check() -> Result<()> {
    let list = paths::workspace().join("deny.toml");
    let text = fs::read_to_string(&list).map_err(Error::io("read", &list))?;
    let allowed = allowed(&text);
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--all-features"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| Error::Io {
            action: "cannot run cargo metadata".into(),
            source,
        })?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Other(format!("cargo metadata: {error}")))?;
    let refused: Vec<String> = metadata
        .packages
        .iter()
        .filter_map(|package| {
            let licence = package.license.as_deref().unwrap_or("no licence");
            let why = match is_allowed(licence, &allowed) {
                Some(true) => return None,
                Some(false) => "not in deny.toml's list",
                None => "not an SPDX expression",
            };
            Some(format!(
                "{} {}: {licence}: {why}",
                package.name, package.version
            ))
        })
        .collect();
    if refused.is_empty() {
        return Ok(());
    }
    Err(Error::Other(format!("licences:\n{}", refused.join("\n"))))
}

/// The strings of `allow` in the section `[licenses]`, so that `cargo deny` and this check agree.
fn allowed(deny: &str) -> BTreeSet<String> {
    let section = deny.split("[licenses]").nth(1).unwrap_or_default();
    let list = section.split("allow = [").nth(1).unwrap_or_default();
    let list = list.split(']').next().unwrap_or_default();
    let strings = list.split('"').skip(1).step_by(2);
    strings.map(str::to_owned).collect()
}

/// Whether a choice within the expression leads to allowed licences alone; `None` when it cannot be read.
/// `/` is how packages wrote `OR` before there were expressions.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> Option<bool> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        words: &words,
        allowed,
    };
    let result = parser.any()?;
    parser.words.is_empty().then_some(result)
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a BTreeSet<String>,
}

impl Parser<'_> {
    fn any(&mut self) -> Option<bool> {
        let mut result = self.all()?;
        while self.takes("OR") {
            result |= self.all()?;
        }
        Some(result)
    }

    fn all(&mut self) -> Option<bool> {
        let mut result = self.one()?;
        while self.takes("AND") {
            result &= self.one()?;
        }
        Some(result)
    }

    fn one(&mut self) -> Option<bool> {
        if self.takes("(") {
            let result = self.any()?;
            return self.takes(")").then_some(result);
        }
        let mut licence = self.name()?;
        if self.takes("WITH") {
            licence += " WITH ";
            licence += &self.name()?;
        }
        Some(self.allowed.contains(&licence))
    }

    fn name(&mut self) -> Option<String> {
        let (word, rest) = self.words.split_first()?;
        if ["OR", "AND", "WITH", "(", ")"].contains(word) {
            return None;
        }
        self.words = rest;
        Some((*word).to_owned())
    }

    fn takes(&mut self, word: &str) -> bool {
        let takes = self.words.first() == Some(&word);
        if takes {
            self.words = &self.words[1..];
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_allowed_when_a_choice_is() {
        let allowed: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
            .map(str::to_owned)
            .into();
        let cases = [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("GPL-3.0-only OR MIT", Some(true)),
            ("GPL-3.0-only/MIT", Some(true)),
            ("GPL-3.0-only AND MIT", Some(false)),
            ("MIT AND (GPL-3.0-only OR ISC)", Some(true)),
            ("(MIT OR ISC) AND GPL-3.0-only", Some(false)),
            ("GPL-3.0-only AND MIT OR ISC", Some(true)),
            ("Apache-2.0", Some(false)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("MIT WITH LLVM-exception", Some(false)),
            ("", None),
            ("no licence", None),
            ("MIT OR", None),
            ("(MIT", None),
        ];
        for (expression, expected) in cases {
            assert_eq!(is_allowed(expression, &allowed), expected, "{expression}");
        }
    }

    #[test]
    fn the_list_is_that_of_cargo_deny() {
        let text = "[bans]\nallow = [\"x\"]\n[licenses]\nallow = [\n  \"MIT\",\n  \"ISC\",\n]\n";
        let expected: BTreeSet<String> = ["ISC", "MIT"].map(str::to_owned).into();
        assert_eq!(allowed(text), expected);
    }
}
