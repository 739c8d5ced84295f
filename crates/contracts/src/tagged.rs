//! Personal fields marked in the schema itself by `confluent:tags`, for estates that keep them there.
//! A tag that cannot be turned into the path of a field makes the schema unusable, not the field public.

use std::collections::HashSet;

use apache_avro::Schema as Avro;
use penstock_connect::ConfigValue;
use penstock_connect::config::Names;
use penstock_formats::{FieldPath, Schema};
use serde_json::Value;

use crate::contract::{Level, PiiField};

const TAGS: &str = "confluent:tags";

/// Deeper schemas than this are not followed.
const DEPTH: usize = 64;

/// Which tags mark a field as personal, and at which level: `PII:1,SENSITIVE:2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalTags(pub Vec<(String, Level)>);

impl ConfigValue for PersonalTags {
    const KIND: &'static str = "a comma-separated list of tag:level";

    fn parse(text: &str) -> Result<Self, String> {
        let parse = |item: &String| {
            let level = item
                .rsplit_once(':')
                .and_then(|(tag, level)| Some((tag.trim().to_owned(), level.trim().parse().ok()?)));
            level.ok_or_else(|| format!("{item:?} must be tag:level with a level from 0"))
        };
        let tags: Vec<(String, Level)> = Names::parse(text)?
            .0
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()?;
        if tags.is_empty() {
            return Err("names no tag".into());
        }
        Ok(Self(tags))
    }
}

impl PersonalTags {
    /// The fields of a schema that carry one of the tags. A field with several has the highest level.
    pub(crate) fn fields(&self, schema: &Schema) -> Result<Vec<PiiField>, String> {
        let mut walk = Walk {
            tags: self,
            path: Vec::new(),
            found: Vec::new(),
            open_ended: None,
        };
        match schema.avro_schema() {
            Some(avro) => walk.avro(avro, &mut Vec::new())?,
            None => walk.json_document(schema.text())?,
        }
        match walk.open_ended {
            Some(why) if !walk.found.is_empty() => Err(why),
            _ => Ok(walk.found),
        }
    }

    /// The level of what carries these tags.
    fn level(&self, tags: Option<&Value>) -> Option<Level> {
        let tags = tags?.as_array()?;
        let levels = self
            .0
            .iter()
            .filter(|(tag, _)| tags.iter().any(|given| given == tag));
        levels.map(|(_, level)| *level).max()
    }
}

struct Walk<'t> {
    tags: &'t PersonalTags,
    path: Vec<String>,
    found: Vec<PiiField>,
    /// Why there may be more paths than were found.
    open_ended: Option<String>,
}

impl Walk<'_> {
    fn add(&mut self, level: Level) -> Result<(), String> {
        let path = FieldPath::from_segments(&self.path).map_err(|error| error.to_string())?;
        match self.found.iter_mut().find(|field| field.path == path) {
            Some(field) => field.level = field.level.max(level),
            None => self.found.push(PiiField { path, level }),
        }
        Ok(())
    }

    /// Tags below a map have no path: whether there are any is all that counts.
    fn refuse_below<'s>(
        &mut self,
        what: &str,
        walk: impl FnOnce(&mut Self) -> Result<(), String> + 's,
    ) -> Result<(), String> {
        let before = self.found.len();
        walk(self)?;
        if self.found.len() > before {
            return Err(format!(
                "a tag lies below {what} at '{}', where fields have no path",
                self.path.join("/")
            ));
        }
        Ok(())
    }

    fn avro<'s>(
        &mut self,
        schema: &'s Avro,
        records: &mut Vec<(&'s apache_avro::schema::RecordSchema, bool)>,
    ) -> Result<(), String> {
        match schema {
            Avro::Record(record) => {
                records.push((record, true));
                let index = records.len() - 1;
                self.avro_record(record, records)?;
                records[index].1 = false;
                Ok(())
            }
            Avro::Ref { name } => {
                match records.iter().position(|(record, _)| record.name == *name) {
                    Some(index) if records[index].1 => {
                        self.open_ended = Some(format!(
                            "record {name} contains itself, and has tagged fields without end"
                        ));
                        Ok(())
                    }
                    Some(index) => {
                        records[index].1 = true;
                        let record = records[index].0;
                        self.avro_record(record, records)?;
                        records[index].1 = false;
                        Ok(())
                    }
                    // An enum or a fixed, which have no fields.
                    None => Ok(()),
                }
            }
            Avro::Array(array) => self.avro(&array.items, records),
            Avro::Union(union) => union
                .variants()
                .iter()
                .try_for_each(|variant| self.avro(variant, records)),
            Avro::Map(map) => self.refuse_below("a map", |walk| walk.avro(&map.types, records)),
            _ => Ok(()),
        }
    }

    fn avro_record<'s>(
        &mut self,
        record: &'s apache_avro::schema::RecordSchema,
        records: &mut Vec<(&'s apache_avro::schema::RecordSchema, bool)>,
    ) -> Result<(), String> {
        for field in &record.fields {
            self.path.push(field.name.clone());
            match self.tags.level(field.custom_attributes.get(TAGS)) {
                Some(level) => self.add(level)?,
                None => self.avro(&field.schema, records)?,
            }
            self.path.pop();
        }
        Ok(())
    }

    fn json_document(&mut self, text: &str) -> Result<(), String> {
        let root: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut reached = HashSet::new();
        self.json(&root, &root, 0, &mut reached)?;
        let mut all = HashSet::new();
        self.collect(&root, &mut all);
        if all.is_subset(&reached) {
            Ok(())
        } else {
            Err("a tag lies where no path of properties and items leads".into())
        }
    }

    /// Every node that carries one of the tags, wherever it is.
    fn collect(&self, node: &Value, all: &mut HashSet<*const Value>) {
        if self.tags.level(node.get(TAGS)).is_some() {
            all.insert(std::ptr::from_ref(node));
        }
        match node {
            Value::Object(members) => members
                .values()
                .for_each(|member| self.collect(member, all)),
            Value::Array(items) => items.iter().for_each(|item| self.collect(item, all)),
            _ => {}
        }
    }

    fn json(
        &mut self,
        node: &Value,
        root: &Value,
        depth: usize,
        reached: &mut HashSet<*const Value>,
    ) -> Result<(), String> {
        if depth > DEPTH {
            self.open_ended =
                Some("the schema contains itself, and has tagged fields without end".into());
            return Ok(());
        }
        if let Some(level) = self.tags.level(node.get(TAGS)) {
            reached.insert(std::ptr::from_ref(node));
            return self.add(level);
        }
        if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
            let target = reference
                .strip_prefix('#')
                .and_then(|pointer| root.pointer(pointer));
            let target = target.ok_or_else(|| {
                format!("$ref {reference:?} leads out of the schema, where tags are not looked for")
            })?;
            self.json(target, root, depth + 1, reached)?;
        }
        if let Some(Value::Object(properties)) = node.get("properties") {
            for (name, property) in properties {
                self.path.push(name.clone());
                self.json(property, root, depth + 1, reached)?;
                self.path.pop();
            }
        }
        if let Some(items) = node.get("items") {
            self.json(items, root, depth + 1, reached)?;
        }
        for choice in ["allOf", "anyOf", "oneOf"] {
            for option in node
                .get(choice)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                self.json(option, root, depth + 1, reached)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::slashed;

    fn fields(schema: &Schema) -> Result<Vec<(String, Level)>, String> {
        let tags = PersonalTags::parse("PII:1, SECRET:3").unwrap();
        let fields = tags.fields(schema)?;
        Ok(fields
            .iter()
            .map(|field| (slashed(&field.path), field.level))
            .collect())
    }

    fn avro(fields: &str) -> Schema {
        let text = format!(r#"{{"type": "record", "name": "R", "fields": [{fields}]}}"#);
        Schema::avro(&text, &[]).unwrap()
    }

    #[test]
    fn tags_in_avro_are_found_through_records_lists_unions_and_names() {
        let schema = avro(
            r#"{"name": "mail", "type": "string", "confluent:tags": ["PII", "SECRET", "OTHER"]},
               {"name": "plain", "type": "string", "confluent:tags": ["OTHER"]},
               {"name": "buyer", "type": ["null", {"type": "record", "name": "Person", "fields": [
                   {"name": "name", "type": "string", "confluent:tags": ["PII"]}]}]},
               {"name": "others", "type": {"type": "array", "items": "Person"}}"#,
        );
        let expected = [("mail", 3), ("buyer/name", 1), ("others/name", 1)];
        assert_eq!(
            fields(&schema).unwrap(),
            expected.map(|(path, level)| (path.to_owned(), level))
        );
    }

    #[test]
    fn tags_in_json_schema_are_found_through_properties_items_choices_and_references() {
        let schema = Schema::json(
            r##"{"definitions": {"person": {"properties": {"name": {"type": "string", "confluent:tags": ["PII"]}}}},
                "properties": {
                    "mails": {"type": "array", "items": {"type": "string", "confluent:tags": ["SECRET"]}},
                    "buyer": {"$ref": "#/definitions/person"},
                    "note": {"oneOf": [{"type": "null"}, {"type": "string", "confluent:tags": ["PII"]}]}}}"##,
            &[],
        );
        let found = fields(&schema.unwrap()).unwrap();
        let expected = [("mails", 3), ("buyer/name", 1), ("note", 1)];
        assert_eq!(
            found,
            expected.map(|(path, level)| (path.to_owned(), level))
        );
    }

    #[test]
    fn a_tag_without_a_path_makes_the_schema_unusable() {
        let in_map = avro(
            r#"{"name": "by_id", "type": {"type": "map", "values": {"type": "record", "name": "P", "fields": [
                {"name": "name", "type": "string", "confluent:tags": ["PII"]}]}}}"#,
        );
        assert_eq!(
            fields(&in_map).unwrap_err(),
            "a tag lies below a map at 'by_id', where fields have no path"
        );
        let recursive = avro(
            r#"{"name": "name", "type": "string", "confluent:tags": ["PII"]},
               {"name": "next", "type": ["null", "R"]}"#,
        );
        assert_eq!(
            fields(&recursive).unwrap_err(),
            "record R contains itself, and has tagged fields without end"
        );
        let open = Schema::json(
            r#"{"additionalProperties": {"type": "string", "confluent:tags": ["PII"]}}"#,
            &[],
        );
        assert_eq!(
            fields(&open.unwrap()).unwrap_err(),
            "a tag lies where no path of properties and items leads"
        );
    }
}
