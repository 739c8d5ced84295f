//! A JSON document read by hand: every value knows its line, column and JSON path, so that all
//! problems of a file are reported at once and each with its place.

use std::fmt;
use std::sync::Arc;

use penstock_connect::properties::nearest;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Something wrong in a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, or whatever stands for it when the text came over the network.
    pub file: Arc<str>,
    /// Line and column, from 1; `None` when the whole file is meant.
    pub place: Option<(usize, usize)>,
    /// JSON path of the value (`$.validations[0].value`); empty when the whole file is meant.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem with the file as a whole.
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            place: None,
            path: String::new(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A value of the document with its JSON path.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    raw: &'a RawValue,
    path: String,
}

/// An object of the document. Whoever understands a member takes it; what is left is unknown.
pub(crate) struct Object<'a> {
    pub(crate) node: Node<'a>,
    members: Vec<(String, Node<'a>)>,
}

impl<'a> Object<'a> {
    pub(crate) fn take(&mut self, name: &str) -> Option<Node<'a>> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.remove(index).1)
    }

    /// Every member, for objects whose names are data.
    pub(crate) fn into_members(self) -> Vec<(String, Node<'a>)> {
        self.members
    }
}

/// The text, and the problems met so far.
pub(crate) struct Document<'a> {
    file: Arc<str>,
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Document<'a> {
    /// The root value. `Err` when the text is not JSON at all.
    pub(crate) fn parse(file: &str, text: &'a str) -> Result<(Self, Node<'a>), Problem> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|error| Problem {
            place: Some((error.line(), error.column())),
            ..Problem::of_file(file, format!("not JSON: {}", without_place(&error)))
        })?;
        let document = Self {
            file: file.into(),
            text,
            problems: Vec::new(),
        };
        let root = Node {
            raw,
            path: "$".into(),
        };
        Ok((document, root))
    }

    /// Reports a problem with a value.
    pub(crate) fn problem(&mut self, node: &Node<'_>, message: impl Into<String>) {
        let problem = self.describe(node, message);
        self.problems.push(problem);
    }

    fn describe(&self, node: &Node<'_>, message: impl Into<String>) -> Problem {
        // Every node's text is a part of `text`: the distance between them is its offset.
        let offset = (node.raw.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .map_or(0, |line| line.chars().count())
            + 1;
        Problem {
            file: self.file.clone(),
            place: Some((line, column)),
            path: node.path.clone(),
            message: message.into(),
        }
    }

    /// The problems, sorted by place.
    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.place);
        self.problems
    }

    /// The members of an object; a name given twice is a problem.
    pub(crate) fn object(&mut self, node: &Node<'a>) -> Option<Object<'a>> {
        let Ok(Members(members)) = serde_json::from_str::<Members<'a>>(node.raw.get()) else {
            self.mismatch(node, "an object");
            return None;
        };
        let mut seen: Vec<(String, Node<'a>)> = Vec::with_capacity(members.len());
        for (name, raw) in members {
            let path = match name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                true => format!("{}.{name}", node.path),
                false => format!("{}[{name:?}]", node.path),
            };
            let member = Node { raw, path };
            if seen.iter().any(|(other, _)| *other == name) {
                self.problem(&member, "given twice; keep one of them");
            } else {
                seen.push((name, member));
            }
        }
        Some(Object {
            node: node.clone(),
            members: seen,
        })
    }

    /// Reports the members that nobody took, with the nearest of `known` as a suggestion.
    pub(crate) fn report_unknown(&mut self, object: Object<'a>, known: &[&str]) {
        for (name, node) in object.members {
            let message = match nearest(&name, known.iter().copied()) {
                Some(near) => format!("unknown key; did you mean {near}?"),
                None => format!("unknown key; known are {}", known.join(", ")),
            };
            self.problem(&node, message);
        }
    }

    /// A member that has to be there.
    pub(crate) fn required(&mut self, object: &mut Object<'a>, name: &str) -> Option<Node<'a>> {
        let node = object.take(name);
        if node.is_none() {
            let holder = object.node.clone();
            self.problem(&holder, format!("{name} is missing"));
        }
        node
    }

    pub(crate) fn array(&mut self, node: &Node<'a>) -> Option<Vec<Node<'a>>> {
        match serde_json::from_str::<Vec<&'a RawValue>>(node.raw.get()) {
            Ok(items) => Some(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, raw)| Node {
                        raw,
                        path: format!("{}[{index}]", node.path),
                    })
                    .collect(),
            ),
            Err(_) => {
                self.mismatch(node, "a list");
                None
            }
        }
    }

    pub(crate) fn text(&mut self, node: &Node<'_>) -> Option<String> {
        self.value(node, "text")
    }

    pub(crate) fn boolean(&mut self, node: &Node<'_>) -> Option<bool> {
        self.value(node, "true or false")
    }

    pub(crate) fn level(&mut self, node: &Node<'_>) -> Option<u32> {
        self.value(node, "a level (a whole number from 0)")
    }

    pub(crate) fn any(&mut self, node: &Node<'_>) -> Option<serde_json::Value> {
        self.value(node, "JSON")
    }

    /// Parses text; the parser's error is the problem.
    pub(crate) fn parsed<T, E: fmt::Display>(
        &mut self,
        node: &Node<'_>,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(node)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problem(node, error.to_string());
                None
            }
        }
    }

    fn value<T: for<'de> Deserialize<'de>>(
        &mut self,
        node: &Node<'_>,
        expected: &str,
    ) -> Option<T> {
        match serde_json::from_str(node.raw.get()) {
            Ok(value) => Some(value),
            Err(_) => {
                self.mismatch(node, expected);
                None
            }
        }
    }

    fn mismatch(&mut self, node: &Node<'_>, expected: &str) {
        let given = match node.raw.get().as_bytes().first() {
            Some(b'"') => "text",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "true or false",
            Some(b'n') => "null",
            _ => node.raw.get(),
        };
        self.problem(node, format!("must be {expected}, not {given}"));
    }
}

/// Whether a value is JSON null: an optional member may be written so.
pub(crate) fn is_null(node: &Node<'_>) -> bool {
    node.raw.get() == "null"
}

/// The first bytes of an object: tells the long form of a reference from text.
pub(crate) fn is_object(node: &Node<'_>) -> bool {
    node.raw.get().starts_with('{')
}

fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.find(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Members in order, repeated names included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Members)
    }
}
