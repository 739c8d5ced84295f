//! Encodes plain JSON, or a decoded tree, as Avro: defaults, union branches, ranges, near names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use smallvec::SmallVec;

use super::cursor::{MAX_DEPTH, write_bytes, write_long};
use super::scalar::{write_raw, write_text};
use super::types::{Field, Kind, Logical, NodeId, Record, Types};
use crate::error::FormatError;
use crate::input::{Input, JsonText, Number, View};
use crate::trie::near;

/// Union branches tried in vain in one event. Nested unions of look-alike records could otherwise
/// take exponential time.
const MAX_TRIALS: usize = 10_000;

/// Writes one event. Errors name the place within it.
pub(crate) struct Encoder<'e> {
    types: &'e Types,
    at: Vec<Part<'e>>,
    trials_left: usize,
    /// Defaults in a schema write bytes as text of the code points 0 to 255, not as base64.
    defaults: bool,
}

enum Part<'e> {
    Field(&'e str),
    Index(usize),
    /// Keys of maps are data: errors do not show them.
    Key,
}

impl<'e> Encoder<'e> {
    pub(crate) fn new(types: &'e Types) -> Self {
        Self {
            types,
            at: Vec::new(),
            trials_left: MAX_TRIALS,
            defaults: false,
        }
    }

    /// For the defaults of the schema itself.
    pub(crate) fn for_defaults(types: &'e Types) -> Self {
        Self {
            defaults: true,
            ..Self::new(types)
        }
    }

    /// Appends the default of a field that is missing.
    pub(crate) fn default(
        &mut self,
        field: &'e Field,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        if let Some(encoded) = &field.default {
            out.extend_from_slice(encoded);
            return Ok(());
        }
        match &field.default_json {
            None => Err(self.mismatch("is missing, and the schema has no default for it")),
            Some(json) if self.defaults => {
                self.value(field.node, JsonText::new(json.as_bytes()), out)
            }
            Some(_) => Err(self.mismatch("is missing, and its default does not fit its type")),
        }
    }

    /// Appends one value of the type.
    pub(crate) fn value<'a, I: Input<'a>>(
        &mut self,
        id: NodeId,
        input: I,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        if self.at.len() > MAX_DEPTH {
            return Err(self.mismatch("is nested too deeply"));
        }
        let types = self.types;
        let node = types.node(id);
        if let Kind::Union(branches) = &node.kind {
            return self.union(id, branches, input, out);
        }
        match (&node.kind, input.view()) {
            (Kind::Null, View::Null) => Ok(()),
            (Kind::Boolean, View::Bool(value)) => {
                out.push(value.into());
                Ok(())
            }
            (_, View::Number(number)) => self.number(id, number, out),
            (_, View::Str(text)) => self.text(id, &text, out),
            (kind, View::Bytes(bytes)) => match write_raw(kind, bytes, out) {
                true => Ok(()),
                false => Err(self.expected(id, "bytes")),
            },
            (Kind::Array(item), View::Array(items)) => self.array(*item, items, out),
            (Kind::Map(item), View::Object(members)) => self.map::<I>(*item, members, out),
            (Kind::Record(record), View::Object(members)) => self.record::<I>(record, members, out),
            (_, view) => Err(self.expected(id, describe(&view))),
        }
    }

    fn number(
        &mut self,
        id: NodeId,
        number: Number<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let node = self.types.node(id);
        match (&node.kind, node.logical) {
            (_, Logical::Decimal { .. } | Logical::BigDecimal) => {
                return match write_text(&node.kind, node.logical, &number.text(), out) {
                    true => Ok(()),
                    false => Err(self.expected(id, "a number that does not fit")),
                };
            }
            (Kind::Int, _) => match number.as_i64().map(i32::try_from) {
                Some(Ok(value)) => write_long(value.into(), out),
                _ if number.is_integer() => return Err(self.mismatch("is out of the range of int")),
                _ => return Err(self.expected(id, "a number with a fraction or exponent")),
            },
            (Kind::Long, _) => match number.as_i64() {
                Some(value) => write_long(value, out),
                None if number.is_integer() => {
                    return Err(self.mismatch("is out of the range of long"));
                }
                None => return Err(self.expected(id, "a number with a fraction or exponent")),
            },
            (Kind::Float, _) => {
                let value = number.as_f32();
                if value.is_infinite() && !number.as_f64().is_infinite() || out_of_range(number) {
                    return Err(self.mismatch("is out of the range of float"));
                }
                out.extend_from_slice(&value.to_le_bytes());
            }
            (Kind::Double, _) => {
                if out_of_range(number) {
                    return Err(self.mismatch("is out of the range of double"));
                }
                out.extend_from_slice(&number.as_f64().to_le_bytes());
            }
            _ => return Err(self.expected(id, "a number")),
        }
        Ok(())
    }

    fn text(&mut self, id: NodeId, text: &str, out: &mut Vec<u8>) -> Result<(), FormatError> {
        let types = self.types;
        let node = types.node(id);
        let written = match (&node.kind, node.logical) {
            (Kind::Enum { symbols, .. }, _) => {
                match symbols.iter().position(|symbol| symbol == text) {
                    Some(index) => {
                        write_long(index as i64, out);
                        true
                    }
                    None => {
                        let symbols = symbols.join(", ");
                        return Err(
                            self.mismatch(format!("is none of the symbols of its enum: {symbols}"))
                        );
                    }
                }
            }
            (Kind::Bytes | Kind::Fixed { .. }, _) if self.defaults => {
                let bytes: Option<Vec<u8>> = text
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).ok())
                    .collect();
                bytes.is_some_and(|bytes| write_raw(&node.kind, &bytes, out))
            }
            (Kind::Bytes | Kind::Fixed { .. }, Logical::None | Logical::Duration) => {
                match BASE64.decode(text) {
                    Ok(bytes) => write_raw(&node.kind, &bytes, out),
                    Err(_) => {
                        return Err(self.expected(id, "a string that is not its base64"));
                    }
                }
            }
            (Kind::Float, _) => not_a_number(text)
                .map(|value| out.extend_from_slice(&(value as f32).to_le_bytes()))
                .is_some(),
            (Kind::Double, _) => not_a_number(text)
                .map(|value| out.extend_from_slice(&value.to_le_bytes()))
                .is_some(),
            (kind, logical) => write_text(kind, logical, text, out),
        };
        match (written, node.logical) {
            (true, _) => Ok(()),
            (false, Logical::None | Logical::Time(_)) => Err(self.expected(id, "a string")),
            (false, _) => Err(self.expected(id, "a string of another form")),
        }
    }

    fn array<'a, I: Input<'a>>(
        &mut self,
        item: NodeId,
        items: impl Iterator<Item = I>,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let start = out.len();
        let mut count = 0;
        for input in items {
            self.at.push(Part::Index(count));
            self.value(item, input, out)?;
            self.at.pop();
            count += 1;
        }
        finish_block(start, count, out);
        Ok(())
    }

    fn map<'a, I: Input<'a>>(
        &mut self,
        item: NodeId,
        members: I::Members,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let start = out.len();
        let mut count = 0;
        for (key, input) in members {
            write_bytes(key.as_bytes(), out);
            self.at.push(Part::Key);
            self.value(item, input, out)?;
            self.at.pop();
            count += 1;
        }
        finish_block(start, count, out);
        Ok(())
    }

    fn record<'a, I: Input<'a>>(
        &mut self,
        record: &'e Record,
        members: I::Members,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let mut given: SmallVec<[Option<I>; 24]> = SmallVec::from_elem(None, record.fields.len());
        let mut next = 0;
        for (name, input) in members {
            let position = match record.fields.get(next) {
                Some(field) if *field.name == *name => next,
                _ => match record.position(&name) {
                    Some(position) => position,
                    None => return Err(self.unknown(record, &name)),
                },
            };
            given[position] = Some(input);
            next = position + 1;
        }
        for (field, input) in record.fields.iter().zip(given) {
            self.at.push(Part::Field(&field.name));
            match input {
                Some(input) => self.value(field.node, input, out)?,
                None => self.default(field, out)?,
            }
            self.at.pop();
        }
        Ok(())
    }

    fn union<'a, I: Input<'a>>(
        &mut self,
        id: NodeId,
        branches: &'e [NodeId],
        input: I,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let view = input.view();
        let mut candidates: SmallVec<[(u8, usize); 4]> = branches
            .iter()
            .enumerate()
            .filter_map(|(index, branch)| Some((self.rank(*branch, &view)?, index)))
            .collect();
        candidates.sort_unstable();
        let tagged = self.tagged(branches, input);
        if let ([(_, index)], None) = (candidates.as_slice(), &tagged) {
            write_long(*index as i64, out);
            return self.value(branches[*index], input, out);
        }
        // The bare value goes first, so that what was written as plain JSON reads back the same.
        for (_, index) in &candidates {
            if self.trial(branches, *index, input, out).is_ok() {
                return Ok(());
            }
            if self.trials_left == 0 {
                return Err(self.mismatch(
                    "has too many ways to be read: its schema has unions of look-alike records",
                ));
            }
        }
        match tagged {
            Some((index, inner)) => {
                write_long(index as i64, out);
                self.value(branches[index], inner, out)
            }
            None => Err(self.expected(id, describe(&view))),
        }
    }

    /// The branch that an object of one member names (`{"string": "x"}`), and its value.
    fn tagged<'a, I: Input<'a>>(&self, branches: &[NodeId], input: I) -> Option<(usize, I)> {
        let View::Object(mut members) = input.view() else {
            return None;
        };
        let (Some((tag, inner)), None) = (members.next(), members.next()) else {
            return None;
        };
        let index = branches.iter().position(|branch| {
            let name = self.types.type_name(*branch);
            name == tag || name.rsplit('.').next() == Some(&*tag)
        })?;
        Some((index, inner))
    }

    /// Encodes the value as this branch, or leaves everything as it was.
    fn trial<'a, I: Input<'a>>(
        &mut self,
        branches: &[NodeId],
        index: usize,
        input: I,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let (start, depth) = (out.len(), self.at.len());
        self.trials_left = self.trials_left.saturating_sub(1);
        write_long(index as i64, out);
        self.value(branches[index], input, out).inspect_err(|_| {
            out.truncate(start);
            self.at.truncate(depth);
        })
    }

    /// How well a branch suits a value: 0 best, `None` not at all.
    fn rank<'a, I: Input<'a>>(&self, branch: NodeId, view: &View<'a, I>) -> Option<u8> {
        let node = self.types.node(branch);
        match (view, &node.kind) {
            (View::Null, Kind::Null)
            | (View::Bool(_), Kind::Boolean)
            | (View::Bytes(_), Kind::Bytes | Kind::Fixed { .. })
            | (View::Array(_), Kind::Array(_))
            | (View::Object(_), Kind::Record(_)) => Some(0),
            (View::Object(_), Kind::Map(_)) => Some(1),
            (View::Number(number), Kind::Int | Kind::Long) => number.is_integer().then_some(0),
            // Half the doubles lose digits in a float.
            (View::Number(number), Kind::Float) => {
                let exact = f64::from(number.as_f32()) == number.as_f64();
                Some(if exact { 1 } else { 3 })
            }
            (View::Number(_), Kind::Double) => Some(2),
            (View::Number(_), _) => (node.logical != Logical::None
                && matches!(node.logical, Logical::Decimal { .. } | Logical::BigDecimal))
            .then_some(1),
            (View::Str(_), Kind::String | Kind::Enum { .. }) => Some(0),
            (View::Str(_), Kind::Bytes | Kind::Fixed { .. }) => {
                Some(if node.logical == Logical::None { 2 } else { 1 })
            }
            (View::Str(text), Kind::Float | Kind::Double) => not_a_number(text).map(|_| 3),
            _ => None,
        }
    }

    /// A name that the schema does not have is data: the error shows only those that it could mean.
    #[cold]
    fn unknown(&self, record: &Record, name: &str) -> FormatError {
        let near = near(name, record.fields.iter().map(|field| &*field.name));
        let hint = match near.first() {
            Some(near) => format!(" (did you mean '{near}'?)"),
            None => String::new(),
        };
        self.mismatch(format!(
            "has a field that is not in record {}{hint}",
            record.name
        ))
    }

    #[cold]
    fn expected(&self, id: NodeId, given: &str) -> FormatError {
        self.mismatch(format!("expected {}, got {given}", self.types.describe(id)))
    }

    #[cold]
    fn mismatch(&self, problem: impl Into<String>) -> FormatError {
        FormatError::Mismatch {
            path: self.path(),
            problem: problem.into(),
        }
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for part in &self.at {
            match part {
                Part::Index(index) => path.push_str(&format!("[{index}]")),
                Part::Field(name) => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(name);
                }
                Part::Key => path.push_str(".*"),
            }
        }
        path
    }
}

/// Puts the count before items that were written from `start` on, and the end after them.
fn finish_block(start: usize, count: usize, out: &mut Vec<u8>) {
    if count > 0 {
        let items = out.len() - start;
        write_long(count as i64, out);
        out[start..].rotate_left(items);
    }
    out.push(0);
}

fn out_of_range(number: Number<'_>) -> bool {
    matches!(number, Number::Text(_)) && number.as_f64().is_infinite()
}

fn not_a_number(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

fn describe<'a, I: Input<'a>>(view: &View<'a, I>) -> &'static str {
    match view {
        View::Null => "null",
        View::Bool(_) => "a boolean",
        View::Number(_) => "a number",
        View::Str(_) => "a string",
        View::Bytes(_) => "bytes",
        View::Array(_) => "an array",
        View::Object(_) => "an object",
    }
}
