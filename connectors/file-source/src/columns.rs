//! Which column fills which field: planned once for a CSV header, applied to each row; and the same
//! for the members of JSON lines.

use std::collections::HashMap;

use penstock_connect::properties::nearest;
use penstock_connect::{Error, Record, RecordError};
use penstock_formats::{FieldPath, PathError, Value};

use crate::cell::Cell;
use crate::config::FileSourceConfig;
use crate::consent;
use crate::event::{EventMaker, Members, get, put, take};
use crate::target::Target;
use crate::time::TimeFormat;

/// Everything but the header that decides what becomes of columns.
pub(crate) struct Mapping {
    pub(crate) events: EventMaker,
    /// Field and column.
    renamed: Vec<(FieldPath, String)>,
    ignored: Vec<String>,
    ignores_unknown: bool,
    timestamp: Option<(String, TimeFormat)>,
    consent: Option<String>,
    null: String,
    /// Whether the schema has a field of that name, for members of JSON lines.
    known: HashMap<String, bool>,
}

/// What becomes of each column of a CSV file.
pub(crate) struct Plan {
    columns: Vec<Column>,
    nulls: Vec<FieldPath>,
}

struct Column {
    name: String,
    fields: Vec<(FieldPath, Cell)>,
    is_timestamp: bool,
    is_consent: bool,
}

impl Mapping {
    /// Checks that the fields that the configuration names are there.
    pub(crate) fn new(config: &FileSourceConfig, events: EventMaker) -> Result<Self, Error> {
        let keys = &config.keys;
        for field in config.columns.keys() {
            events.target.cell(field).map_err(|error| {
                Error::never(format!(
                    "columns.{field}: the schema {} has no such field: {error}",
                    events.target.name()
                ))
            })?;
        }
        let renamed = config.columns.iter();
        Ok(Self {
            renamed: renamed
                .map(|(field, column)| (field.clone(), column.clone()))
                .collect(),
            ignored: keys.ignore.0.clone(),
            ignores_unknown: keys.ignore.0.iter().any(|name| name == "*"),
            timestamp: keys
                .timestamp_column
                .clone()
                .map(|column| (column, keys.timestamp_format.clone())),
            consent: keys.consent_column.clone(),
            null: keys.null.0.clone(),
            known: HashMap::new(),
            events,
        })
    }

    /// What to do with the columns of a header; the error says all that is wrong with it.
    pub(crate) fn plan(&self, header: &[String]) -> Result<Plan, String> {
        let mut problems = Vec::new();
        let mut unknown = Vec::new();
        let mut columns: Vec<Column> = Vec::with_capacity(header.len());
        for name in header {
            if columns.iter().any(|column| column.name == *name) {
                problems.push(format!("column '{name}' is there twice"));
            }
            let is_timestamp = self
                .timestamp
                .as_ref()
                .is_some_and(|(column, _)| column == name);
            let is_consent = self.consent.as_ref().is_some_and(|column| column == name);
            let mut fields = Vec::new();
            for (field, _) in self.renamed.iter().filter(|(_, column)| column == name) {
                match self.events.target.cell(field) {
                    Ok(cell) => fields.push((field.clone(), cell)),
                    Err(error) => problems.push(error.to_string()),
                }
            }
            let is_ignored = self.ignored.contains(name);
            if fields.is_empty() && !is_ignored {
                match self.field_of(name) {
                    Ok(found) => fields.push(found),
                    Err(_) if is_timestamp || is_consent || self.ignores_unknown => {}
                    Err(error) => unknown.push(describe(name, error.as_ref())),
                }
            }
            columns.push(Column {
                name: name.clone(),
                fields,
                is_timestamp,
                is_consent,
            });
        }
        let mut wanted: Vec<(String, &str)> = Vec::new();
        wanted.extend(
            self.timestamp
                .iter()
                .map(|(c, _)| ("timestamp.column".to_owned(), c.as_str())),
        );
        wanted.extend(
            self.consent
                .iter()
                .map(|c| ("consent.column".to_owned(), c.as_str())),
        );
        wanted.extend(
            self.renamed
                .iter()
                .map(|(f, c)| (format!("columns.{f}"), c.as_str())),
        );
        for (key, column) in wanted {
            if !header.iter().any(|name| name == column) {
                let near = nearest(column, header.iter().map(String::as_str));
                let hint = near.map_or(String::new(), |near| format!(" (did you mean '{near}'?)"));
                problems.push(format!("{key}: there is no column '{column}'{hint}"));
            }
        }
        if !unknown.is_empty() {
            problems.push(format!(
                "the schema {} has no field for {}; give each its field with columns.<field>=<column>, or leave it \
                 out with columns.ignore",
                self.events.target.name(),
                unknown.join(", ")
            ));
        }
        let filled: Vec<FieldPath> = columns
            .iter()
            .flat_map(|column| column.fields.iter().map(|(field, _)| field.clone()))
            .chain(self.events.filled().cloned())
            .collect();
        let unfilled = self.events.target.unfilled(&filled);
        if !unfilled.missing.is_empty() {
            let missing: Vec<String> = unfilled
                .missing
                .iter()
                .map(|field| format!("'{field}'"))
                .collect();
            problems.push(format!(
                "there is no column for {}, which the schema {} requires",
                missing.join(", "),
                self.events.target.name()
            ));
        }
        match problems.is_empty() {
            true => Ok(Plan {
                columns,
                nulls: unfilled.nulls,
            }),
            false => Err(problems.join("; ")),
        }
    }

    /// The field that has a column's name.
    fn field_of(&self, column: &str) -> Result<(FieldPath, Cell), Option<PathError>> {
        let field = match self.events.target {
            // Without a schema a name is a name.
            Target::Json => FieldPath::from_segments([column]),
            Target::Schema { .. } => FieldPath::parse(column),
        };
        let field = field.map_err(|_| None)?;
        let cell = self.events.target.cell(&field).map_err(Some)?;
        Ok((field, cell))
    }

    /// The record of a CSV row: its values one after the other, and where each ends.
    pub(crate) fn row(
        &self,
        plan: &Plan,
        values: &[u8],
        ends: &[usize],
    ) -> Result<Record, RecordError> {
        if ends.len() != plan.columns.len() {
            return Err(RecordError::malformed(format!(
                "the row has {} values, and there are {} columns",
                ends.len(),
                plan.columns.len()
            )));
        }
        let mut members = Members::with_capacity(plan.columns.len() + 1);
        let (mut timestamp, mut levels) = (None, None);
        let mut start = 0;
        for (column, end) in plan.columns.iter().zip(ends) {
            let wrong =
                |problem: &str| RecordError::schema(format!("column '{}' {problem}", column.name));
            let text = values.get(start..*end).unwrap_or_default();
            start = *end;
            let text = std::str::from_utf8(text).map_err(|_| {
                RecordError::malformed(format!("column '{}' is not UTF-8", column.name))
            })?;
            if column.is_timestamp {
                timestamp = Some(self.time(Some(text)).map_err(|problem| wrong(&problem))?);
            }
            if column.is_consent {
                let text = if text == self.null { "" } else { text };
                levels = Some(consent::parse(text).ok_or_else(|| wrong(NO_LEVELS))?);
            }
            for (field, cell) in &column.fields {
                if let Some(value) = cell.read(text, &self.null).map_err(wrong)? {
                    put(&mut members, field, value);
                }
            }
        }
        for field in &plan.nulls {
            put(&mut members, field, Value::Null);
        }
        self.events.record(members, timestamp, levels)
    }

    /// The record of a line of JSON.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<Record, RecordError> {
        let event = Value::from_json(line).map_err(RecordError::malformed)?;
        let Value::Object(mut members) = event else {
            return Err(RecordError::malformed(format!(
                "the line is {} and not an object",
                event.kind()
            )));
        };
        let wrong = |column: &str, problem: &str| {
            RecordError::schema(format!("member '{column}' {problem}"))
        };
        let (mut timestamp, mut levels) = (None, None);
        if let Some((column, _)) = &self.timestamp {
            let text = match self.use_up(&mut members, column) {
                Some(Value::Str(text)) => Some(text),
                Some(Value::Int(number)) => Some(number.to_string()),
                Some(Value::Double(number)) => Some(number.to_string()),
                Some(Value::Null) | None => None,
                Some(_) => Some(String::new()),
            };
            let time = self.time(text.as_deref());
            timestamp = Some(time.map_err(|problem| wrong(column, &problem))?);
        }
        if let Some(column) = &self.consent {
            let said = self.use_up(&mut members, column).unwrap_or(Value::Null);
            levels = Some(consent::from_json(&said).ok_or_else(|| wrong(column, NO_LEVELS))?);
        }
        for (field, column) in &self.renamed {
            if let Some(value) = path(column).and_then(|column| take(&mut members, &column)) {
                put(&mut members, field, value);
            }
        }
        for column in &self.ignored {
            if let Some(column) = path(column) {
                take(&mut members, &column);
            }
        }
        if self.ignores_unknown {
            let target = &self.events.target;
            let known = &mut self.known;
            members.retain(|(name, _)| match known.get(name) {
                Some(known) => *known,
                None => {
                    let field = FieldPath::from_segments([name.as_str()]);
                    let is_known = field.is_ok_and(|field| target.has(&field));
                    if known.len() < MOST_NAMES {
                        known.insert(name.clone(), is_known);
                    }
                    is_known
                }
            });
        }
        self.events.record(members, timestamp, levels)
    }

    /// A member that says something of the event. It stays only where the schema has a field for it.
    fn use_up(&self, members: &mut Members, column: &str) -> Option<Value> {
        let column = path(column)?;
        let stays = match self.events.target {
            Target::Json => true,
            Target::Schema { .. } => self.events.target.has(&column),
        };
        match stays {
            true => get(members, &column).cloned(),
            false => take(members, &column),
        }
    }

    fn time(&self, text: Option<&str>) -> Result<i64, String> {
        let Some((_, format)) = &self.timestamp else {
            return Err("is not asked for".to_owned());
        };
        let text = text.filter(|text| !text.trim().is_empty() && *text != self.null);
        let text = text.ok_or("holds no time")?;
        format
            .millis(text)
            .ok_or_else(|| format!("is not {}", format.expected()))
    }
}

const NO_LEVELS: &str = "does not hold consent levels such as 1,2";

/// Names of members that are remembered.
const MOST_NAMES: usize = 10_000;

fn path(column: &str) -> Option<FieldPath> {
    FieldPath::parse(column).ok()
}

/// An unknown column, with the names that it may stand for.
fn describe(column: &str, error: Option<&PathError>) -> String {
    let near = match error {
        Some(PathError::Unknown { near, .. }) => near.as_slice(),
        _ => &[],
    };
    match near.first() {
        Some(near) => format!("column '{column}' (did you mean '{near}'?)"),
        None => format!("column '{column}'"),
    }
}

#[cfg(test)]
mod tests;
