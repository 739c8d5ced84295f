//! Files of connectors as JSON: flat, or as Kafka Connect's REST takes them,
//! `{"name":…,"config":{…},"initial_state":…}`.

use std::collections::BTreeMap;

use penstock_connect::{Problem, Settings};
use serde_json::{Map, Value};

use crate::status::State;

/// The settings, and the state that the connector begins in if the file names one.
pub(super) fn parse(file: &str, text: &str) -> Result<(Settings, Option<State>), Vec<Problem>> {
    let problem = |line, key: Option<&str>, message: String| Problem {
        file: file.into(),
        line,
        key: key.map(str::to_owned),
        message,
    };
    let json: Value = serde_json::from_str(text)
        .map_err(|error| vec![problem(error.line(), None, format!("not JSON: {error}"))])?;
    let shape =
        "must be a JSON object of settings, or {\"name\":…,\"config\":{…},\"initial_state\":…}";
    let Value::Object(mut outer) = json else {
        return Err(vec![problem(0, None, shape.to_owned())]);
    };
    let mut problems = Vec::new();
    let mut report = |key: &str, message: String| problems.push(problem(0, Some(key), message));
    let (pairs, initial) = match outer.shift_remove("config") {
        None => (texts(outer, &mut report), None),
        Some(Value::Object(config)) => {
            let mut pairs = texts(config, &mut report);
            let initial = beside(outer, &mut pairs, &mut report);
            (pairs, initial)
        }
        Some(_) => {
            report("config", "must be an object of settings".to_owned());
            (BTreeMap::new(), None)
        }
    };
    if problems.is_empty() {
        Ok((Settings::from_pairs(file, pairs), initial))
    } else {
        Err(problems)
    }
}

/// What stands beside `config`: the name goes into the settings.
fn beside(
    outer: Map<String, Value>,
    pairs: &mut BTreeMap<String, String>,
    report: &mut impl FnMut(&str, String),
) -> Option<State> {
    let mut initial = None;
    for (key, value) in outer {
        match (key.as_str(), value) {
            ("name", Value::String(name)) => match pairs.get("name") {
                Some(other) if *other != name => {
                    let message = format!("is {name:?} outside of config and {other:?} in it");
                    report("name", message);
                }
                _ => {
                    pairs.insert("name".to_owned(), name);
                }
            },
            ("initial_state", Value::String(word)) => match State::initial(&word) {
                Ok(state) => initial = Some(state),
                Err(message) => report("initial_state", message),
            },
            ("name" | "initial_state", _) => report(&key, "must be a text".to_owned()),
            _ => {
                let message = "unknown key; beside config stand name and initial_state";
                report(&key, message.to_owned());
            }
        }
    }
    initial
}

fn texts(
    config: Map<String, Value>,
    report: &mut impl FnMut(&str, String),
) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for (key, value) in config {
        match value {
            Value::String(text) => {
                pairs.insert(key, text);
            }
            Value::Bool(_) | Value::Number(_) => {
                pairs.insert(key, value.to_string());
            }
            _ => report(&key, "must be a text, a number or a boolean".to_owned()),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = parse("c.json", text).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_is_flat_or_has_its_settings_in_config() {
        let (flat, initial) = parse("c.json", r#"{"name": "c", "tasks.max": 2}"#).unwrap();
        assert_eq!(flat.get("tasks.max").unwrap().value(), "2");
        assert_eq!(initial, None);
        let nested = r#"{"name": "c", "config": {"tasks.max": "2"}, "initial_state": "PAUSED"}"#;
        let (nested, initial) = parse("c.json", nested).unwrap();
        assert_eq!(nested.written(), flat.written());
        assert_eq!(initial, Some(State::Paused));
    }

    #[test]
    fn every_problem_names_the_file_and_its_key() {
        assert_eq!(
            problems(
                r#"{"config": {"topics": ["a"], "name": "x"}, "name": "y", "initial_state": "ON", "tags": 1}"#
            ),
            [
                "c.json: topics: must be a text, a number or a boolean",
                "c.json: name: is \"y\" outside of config and \"x\" in it",
                "c.json: initial_state: must be RUNNING, PAUSED or STOPPED, not ON",
                "c.json: tags: unknown key; beside config stand name and initial_state",
            ]
        );
        assert_eq!(
            problems(r#"{"config": "x"}"#),
            ["c.json: config: must be an object of settings"]
        );
        assert_eq!(
            problems("{\n\"name\": \n}"),
            ["c.json:3: not JSON: expected value at line 3 column 1"]
        );
        assert!(problems("[]")[0].starts_with("c.json: must be a JSON object"));
    }
}
