//! JSON Schema texts: a validator, and what they say about paths. Nothing is fetched.

use std::collections::HashSet;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::Location;
use jsonschema::{Draft, Registry, Resource, Validator};
use serde_json::Value as Json;

use super::{Schema, all_references};
use crate::error::{FormatError, PathError, SchemaError};
use crate::json::Outline;
use crate::json::shape::{Document, Leaf};
use crate::path::FieldPath;

pub(super) struct JsonSchema {
    document: Json,
    validator: Validator,
    /// The properties that it and its references declare, wherever: all other names of an event are
    /// data (`additionalProperties`, `patternProperties`), and errors do not show them.
    declared: HashSet<Box<str>>,
}

impl JsonSchema {
    pub(super) fn parse(
        text: &str,
        references: &[(String, Arc<Schema>)],
    ) -> Result<Self, SchemaError> {
        let document: Json =
            serde_json::from_str(text).map_err(|error| SchemaError::NotJson(error.to_string()))?;
        let registry = registry(&document, references)?;
        let validator = jsonschema::options()
            .with_draft(draft(&document)?)
            .offline()
            .with_registry(&registry)
            .build(&document)
            .map_err(|error| SchemaError::Json(error.to_string()))?;
        drop(registry);
        let mut declared = HashSet::new();
        declare(&document, &mut declared);
        for (_, reference) in references {
            if let super::Body::Json(json) = &reference.body {
                declared.extend(json.declared.iter().cloned());
            }
        }
        Ok(Self {
            document,
            validator,
            declared,
        })
    }

    pub(super) fn name(&self) -> Option<&str> {
        let text = |keyword: &str| self.document.get(keyword).and_then(Json::as_str);
        text("title").or_else(|| text("$id"))
    }

    pub(super) fn validate(&self, json: &[u8]) -> Result<(), FormatError> {
        let instance: Json = serde_json::from_slice(json).map_err(|error| {
            // The text of a serde error can quote a value: place and kind are enough.
            let problem = format!("{:?} error in line {}", error.classify(), error.line());
            FormatError::json(error.column(), problem)
        })?;
        self.validator
            .validate(&instance)
            .map_err(|error| FormatError::Mismatch {
                path: self.shown(&instance, error.instance_path()),
                problem: describe(&error),
            })
    }

    /// A place within an event as a dotted path, without names that are data.
    fn shown(&self, event: &Json, place: &Location) -> String {
        let mut at = Some(event);
        let mut path = String::new();
        for segment in place {
            let segment = segment.to_string();
            let is_shown = match at {
                Some(Json::Array(_)) => true,
                _ => self.declared.contains(&*segment),
            };
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(if is_shown { &segment } else { "*" });
            at = at.and_then(|value| match value {
                Json::Array(items) => items.get(segment.parse::<usize>().ok()?),
                other => other.get(&segment),
            });
        }
        path
    }

    pub(super) fn leaves(
        &self,
        paths: &[FieldPath],
        references: &[(String, Arc<Schema>)],
    ) -> Result<Box<[Leaf]>, PathError> {
        let lost = |path: &FieldPath| PathError::NotARecord {
            path: path.clone(),
            segment: path.name().to_owned(),
            holder: "a JSON Schema with references that cannot be resolved".to_owned(),
        };
        let Some(first) = paths.first() else {
            return Ok(Box::default());
        };
        let registry = registry(&self.document, references).map_err(|_| lost(first))?;
        let document = self.within(&registry).ok_or_else(|| lost(first))?;
        paths.iter().map(|path| document.leaf(path)).collect()
    }

    pub(super) fn outline(&self, references: &[(String, Arc<Schema>)]) -> Option<Outline> {
        let registry = registry(&self.document, references).ok()?;
        Some(self.within(&registry)?.outline())
    }

    /// The document in a registry, which parsing the schema has built before.
    fn within<'r>(&'r self, registry: &'r Registry<'r>) -> Option<Document<'r>> {
        Some(Document {
            registry,
            root: &self.document,
            base: jsonschema::uri::from_str(own_uri(&self.document)).ok()?,
        })
    }
}

/// The document's own URI, relative to the registry's.
fn own_uri(document: &Json) -> &str {
    match document.get("$id").and_then(Json::as_str) {
        Some(id) if !id.starts_with('#') => id.trim_end_matches('#'),
        _ => "",
    }
}

/// The draft that `$schema` names (with `http` or `https`); draft-07 without one.
fn draft(document: &Json) -> Result<Draft, SchemaError> {
    match document.get("$schema").and_then(Json::as_str) {
        None => Ok(Draft::Draft7),
        Some(uri) => match Draft::from_schema_uri(uri.trim_end_matches('#')) {
            Draft::Unknown => Err(SchemaError::Json(format!(
                "its $schema '{uri}' is none of the published drafts, and nothing is fetched"
            ))),
            known => Ok(known),
        },
    }
}

/// All documents that a reference may lead to, under the names they were given and as these resolve
/// against the document's own URI.
fn registry<'r>(
    document: &'r Json,
    references: &'r [(String, Arc<Schema>)],
) -> Result<Registry<'r>, SchemaError> {
    let invalid = |error: jsonschema::ReferencingError| SchemaError::Json(error.to_string());
    let base = jsonschema::uri::from_str(own_uri(document)).map_err(invalid)?;
    let default = draft(document)?;
    let mut builder = Registry::new().draft(default);
    let mut known = Vec::new();
    let mut add = |mut builder: jsonschema::RegistryBuilder<'r>, uri: String, json: &'r Json| {
        if !known.contains(&uri) {
            builder = builder
                .add(&uri, Resource::from_contents(json.clone()))
                .map_err(invalid)?;
            known.push(uri);
        }
        Ok::<_, SchemaError>(builder)
    };
    builder = add(builder, base.as_str().to_owned(), document)?;
    for (name, reference) in all_references(references) {
        let super::Body::Json(json) = &reference.body else {
            return Err(SchemaError::MixedReference {
                name: name.to_owned(),
                expected: "a JSON Schema",
            });
        };
        let plain = jsonschema::uri::from_str(name).map_err(invalid)?;
        builder = add(builder, plain.as_str().to_owned(), &json.document)?;
        let resolved = jsonschema::uri::resolve_against(&base.borrow(), name).map_err(invalid)?;
        builder = add(builder, resolved.as_str().to_owned(), &json.document)?;
    }
    builder.prepare().map_err(invalid)
}

/// Collects the names of all properties that a schema declares.
fn declare(schema: &Json, names: &mut HashSet<Box<str>>) {
    match schema {
        Json::Object(keywords) => {
            if let Some(Json::Object(properties)) = keywords.get("properties") {
                names.extend(properties.keys().map(|name| name.as_str().into()));
            }
            keywords.values().for_each(|inner| declare(inner, names));
        }
        Json::Array(schemas) => schemas.iter().for_each(|inner| declare(inner, names)),
        _ => {}
    }
}

/// The rule that was broken, in words of the schema.
fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    let kind = error.kind();
    match kind {
        // These would show what stands in the event.
        ValidationErrorKind::PropertyNames { .. }
        | ValidationErrorKind::Custom { .. }
        | ValidationErrorKind::FromUtf8 { .. }
        | ValidationErrorKind::BacktrackLimitExceeded { .. }
        | ValidationErrorKind::RegexEngineFailure { .. } => {
            format!("breaks the rule '{}' of the schema", kind.keyword())
        }
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let properties = match unexpected.len() {
                1 => "a property".to_owned(),
                count => format!("{count} properties"),
            };
            format!(
                "has {properties} that the schema does not declare (rule '{}')",
                kind.keyword()
            )
        }
        _ => format!(
            "{} (rule '{}')",
            error.masked_with("the value"),
            kind.keyword()
        ),
    }
}
