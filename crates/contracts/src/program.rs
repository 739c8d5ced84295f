//! A contract compiled for one schema: one walk over an event finds all that a transform needs.

use std::sync::Arc;

use penstock_connect::{RecordError, RecordErrorKind};
use penstock_formats::{FieldPath, Fields, Found, Scalar, Schema, SchemaKind, Slot};

use crate::contract::{Contract, Level, Rules, overlap, slashed};
use crate::meta::MetaFields;

/// Longest value that is repeated in a refusal, in characters.
const ECHO: usize = 1000;

/// What a transform is going to do, which decides what it has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Check events at intake.
    Check,
    /// Encrypt personal fields.
    Encrypt,
    /// Decrypt by consent.
    Route,
}

/// The rules for the events of one schema, compiled. The numbers are path indices for [`Found`];
/// `None` where the schema has no such field or the purpose has no use for it.
pub struct Program {
    /// The contract; `None` when the rules were listed in a transform's properties.
    pub contract: Option<Arc<Contract>>,
    /// Finds everything in one walk.
    pub fields: Fields,
    /// The field that names the contract.
    pub contract_ref: Option<usize>,
    /// The nonce.
    pub nonce: Option<usize>,
    /// The time of acceptance.
    pub timestamp: Option<usize>,
    /// The name of the key.
    pub key_link: Option<usize>,
    /// The consent levels: [`Program::consent`] reads them.
    consent_levels: Option<usize>,
    /// The key field.
    pub key_field: Option<usize>,
    /// The data subject field.
    pub data_subject: Option<usize>,
    /// By path index: the level of a personal field.
    levels: Box<[Option<Level>]>,
    /// JSON only: what personal fields lie in, which has to be an object for them to be found.
    containers: Box<[usize]>,
    /// Path index, and index within the rules.
    validations: Box<[(usize, usize)]>,
    rules: Arc<Rules>,
}

impl Program {
    /// Compiles rules for a schema (`None`: JSON without one). The error says all that does not fit.
    pub(crate) fn compile(
        rules: &Arc<Rules>,
        contract: Option<Arc<Contract>>,
        schema: Option<&Schema>,
        meta: &MetaFields,
        purpose: Purpose,
    ) -> Result<Self, String> {
        let mut problems: Vec<String> = meta
            .all()
            .into_iter()
            .filter(|field| rules.pii_fields.iter().any(|pii| overlap(&pii.path, field)))
            .map(|field| {
                format!(
                    "{} is about the event itself and cannot be personal",
                    slashed(field)
                )
            })
            .collect();
        if let Some(schema) = schema {
            let found = rules.check_schema("", schema);
            problems.extend(
                found
                    .into_iter()
                    .map(|problem| format!("{} {}", problem.path, problem.message)),
            );
        }
        if !problems.is_empty() {
            return Err(problems.join("; "));
        }

        let mut paths = Paths::new(schema);
        // Events under a contract are checked and encrypted by the same program.
        let route = purpose == Purpose::Route;
        let (check, encrypt) = (!route && contract.is_some(), !route);
        let contract_ref = paths.declared(&meta.contract_ref);
        let nonce = check.then(|| paths.declared(&meta.nonce)).flatten();
        let timestamp = check.then(|| paths.declared(&meta.timestamp)).flatten();
        let key_link = paths.declared(&meta.key_link);
        let consent_levels = (route || check)
            .then(|| paths.declared(&meta.consent_levels))
            .flatten();
        let key_field = rules.key_field.as_ref().filter(|_| !route);
        let key_field = key_field.map(|field| paths.add(field));
        let data_subject = rules
            .data_subject_field
            .as_ref()
            .filter(|_| encrypt)
            .map(|field| paths.add(field));
        let validations = rules.validations.iter().enumerate().filter(|_| check);
        let validations = validations
            .map(|(index, validation)| (paths.add(&validation.field), index))
            .collect();
        let mut levels = Vec::new();
        for pii in &rules.pii_fields {
            let index = paths.add(&pii.path);
            levels.resize(paths.all.len().max(levels.len()), None);
            levels[index] = Some(pii.level);
        }
        let is_json = schema.is_none_or(|schema| schema.kind() == SchemaKind::Json);
        let containers = match is_json {
            true => containers(rules)
                .iter()
                .map(|path| paths.add(path))
                .collect(),
            false => Box::default(),
        };
        levels.resize(paths.all.len(), None);
        let fields = match schema {
            Some(schema) => {
                Fields::compile(schema, &paths.all).map_err(|error| error.to_string())?
            }
            None => Fields::schemaless_json(&paths.all),
        };
        Ok(Self {
            contract,
            fields,
            contract_ref,
            nonce,
            timestamp,
            key_link,
            consent_levels,
            key_field,
            data_subject,
            levels: levels.into(),
            containers,
            validations,
            rules: rules.clone(),
        })
    }

    /// The level of the field in a slot, if it is a personal one.
    pub fn level(&self, slot: &Slot) -> Option<Level> {
        self.levels.get(slot.path()).copied().flatten()
    }

    /// Collects the consent levels of an event, for lack of any none.
    ///
    /// # Errors
    /// When something else than a whole number stands among them.
    pub fn consent(
        &self,
        event: &[u8],
        found: &Found,
        levels: &mut Vec<i64>,
    ) -> Result<(), RecordError> {
        levels.clear();
        let slots = self
            .consent_levels
            .into_iter()
            .flat_map(|path| found.at(path));
        for slot in slots.filter(|slot| !slot.is_null() && !slot.is_absent()) {
            let path = &self.fields.paths()[slot.path()];
            let level = slot
                .scalar(event)
                .map_err(|error| RecordError::field(format!("field '{path}': {error}")))?;
            levels.push(whole(&level).ok_or_else(|| {
                RecordError::field(format!(
                    "field '{path}' holds {} where a consent level (a whole number) belongs",
                    level.kind()
                ))
            })?);
        }
        Ok(())
    }

    /// Refuses JSON that has something else where an object with personal fields belongs: they could
    /// stand in there in another form, and would not be found.
    pub fn check_containers(&self, event: &[u8], found: &Found) -> Result<(), RecordError> {
        for path in &self.containers {
            for slot in found
                .at(*path)
                .filter(|slot| !slot.is_null() && !slot.is_absent())
            {
                let json = slot.json(event).map_err(RecordError::malformed)?;
                if !json.starts_with(b"{") {
                    return Err(RecordError::field(format!(
                        "field '{}' has personal fields and is no object",
                        self.fields.paths()[*path]
                    )));
                }
            }
        }
        Ok(())
    }

    /// Applies the contract's validations, in their order.
    pub fn validate(&self, event: &[u8], found: &Found) -> Result<(), RecordError> {
        for (path, index) in &self.validations {
            let validation = &self.rules.validations[*index];
            for slot in found.at(*path).filter(|slot| !slot.is_null()) {
                match slot.scalar(event).map_err(RecordError::malformed)? {
                    Scalar::Null => {}
                    Scalar::Str(text) if validation.regex.is_match(&text) => {}
                    Scalar::Str(text) => {
                        return Err(self.mismatch(
                            &validation.field,
                            &text,
                            validation.regex.as_str(),
                        ));
                    }
                    other => {
                        return Err(RecordError::new(
                            RecordErrorKind::Validation,
                            format!(
                                "Field: '{}'{} is {}, and the regex '{}' is for strings",
                                slashed(&validation.field),
                                self.schema_words(),
                                other.kind(),
                                validation.regex.as_str(),
                            ),
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// The text of the key field.
    ///
    /// # Errors
    /// When it is missing, null, empty, not a string, or there several times.
    pub fn key_value<'a>(
        &self,
        event: &'a [u8],
        found: &Found,
    ) -> Result<std::borrow::Cow<'a, str>, RecordError> {
        let mut slots = self.key_field.into_iter().flat_map(|path| found.at(path));
        let problem = match (slots.next(), slots.next()) {
            (Some(slot), None) => match slot.scalar(event).map_err(RecordError::malformed)? {
                Scalar::Str(text) if !text.is_empty() => return Ok(text),
                Scalar::Str(_) | Scalar::Null => "must not be empty",
                _ => "must be a string",
            },
            (None, _) => "must not be empty",
            (Some(_), Some(_)) => "must be there once, not several times",
        };
        Err(RecordError::new(
            RecordErrorKind::Field,
            format!(
                "Field: '{}'{} is the key field and {problem}",
                self.rules
                    .key_field
                    .as_ref()
                    .map_or_else(String::new, slashed),
                self.schema_words(),
            ),
        ))
    }

    fn mismatch(&self, field: &FieldPath, value: &str, regex: &str) -> RecordError {
        let shown = if value.is_empty() || !self.rules.is_personal(field) {
            value.chars().take(ECHO).collect()
        } else {
            "[hidden]".to_owned()
        };
        RecordError::new(
            RecordErrorKind::Validation,
            format!(
                "Field: '{}'{} with value: '{shown}' doesn't match regex: '{regex}'",
                slashed(field),
                self.schema_words(),
            ),
        )
    }

    fn schema_words(&self) -> String {
        self.contract.as_ref().map_or_else(String::new, |contract| {
            format!(" in event with schema: '{}'", contract.schema_ref)
        })
    }
}

/// A whole number; JSON may write one with a point (`2.0`), which JSON Schema calls an integer, too.
fn whole(value: &Scalar<'_>) -> Option<i64> {
    // Up to here doubles hold each of them exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Scalar::Int(level) => Some(*level),
        Scalar::Double(level) if level.fract() == 0.0 && level.abs() <= EXACT => {
            Some(*level as i64)
        }
        _ => None,
    }
}

/// The paths that lead to personal fields from outside, without their own.
fn containers(rules: &Rules) -> Vec<FieldPath> {
    let mut containers = Vec::new();
    for pii in &rules.pii_fields {
        let segments: Vec<&str> = pii.path.segments().collect();
        let outer = (1..segments.len()).map(|end| &segments[..end]);
        containers.extend(outer.flat_map(FieldPath::from_segments));
    }
    containers
}

/// The paths of a program, each once.
struct Paths<'a> {
    all: Vec<FieldPath>,
    schema: Option<&'a Schema>,
}

impl<'a> Paths<'a> {
    fn new(schema: Option<&'a Schema>) -> Self {
        Self {
            all: Vec::new(),
            schema,
        }
    }

    fn add(&mut self, path: &FieldPath) -> usize {
        match self.all.iter().position(|known| known == path) {
            Some(index) => index,
            None => {
                self.all.push(path.clone());
                self.all.len() - 1
            }
        }
    }

    /// Adds a path that the schema may lack.
    fn declared(&mut self, path: &FieldPath) -> Option<usize> {
        let has = self
            .schema
            .is_none_or(|schema| Fields::compile(schema, std::slice::from_ref(path)).is_ok());
        has.then(|| self.add(path))
    }
}
