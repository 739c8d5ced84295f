//! Personal fields listed in properties, for estates without contracts: `pii.fields=email:1,name:2`.

use penstock_connect::ConfigValue;
use penstock_formats::FieldPath;

use crate::contract::{PiiField, overlap, slashed};

/// Personal fields with their levels, as `path:level` with commas between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFields(pub Vec<PiiField>);

impl ConfigValue for ListedFields {
    const KIND: &'static str = "a comma-separated list of path:level";

    fn parse(text: &str) -> Result<Self, String> {
        let mut fields: Vec<PiiField> = Vec::new();
        for item in text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let field = parse_item(item)?;
            if let Some(other) = fields
                .iter()
                .find(|other| overlap(&other.path, &field.path))
            {
                return Err(format!(
                    "{} and {} name the same field, or one lies within the other",
                    slashed(&other.path),
                    slashed(&field.path)
                ));
            }
            fields.push(field);
        }
        if fields.is_empty() {
            return Err("names no field".into());
        }
        Ok(Self(fields))
    }
}

fn parse_item(item: &str) -> Result<PiiField, String> {
    let (path, level) = item
        .rsplit_once(':')
        .ok_or_else(|| format!("{item:?} has no level; write it as path:level"))?;
    let path = FieldPath::parse(path.trim()).map_err(|error| error.to_string())?;
    let level = level
        .trim()
        .parse()
        .map_err(|_| format!("the level of {item:?} must be a whole number from 0"))?;
    Ok(PiiField { path, level })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn fields_come_with_their_levels() {
        let fields = ListedFields::parse("email:1, customer.id:0").unwrap().0;
        let shown: Vec<_> = fields
            .iter()
            .map(|field| (slashed(&field.path), field.level))
            .collect();
        assert_eq!(shown, [("email".into(), 1), ("customer/id".into(), 0)]);
    }

    #[test]
    fn what_is_not_a_list_of_fields_says_why() {
        for (text, message) in [
            ("", "names no field"),
            ("email", "\"email\" has no level; write it as path:level"),
            (
                "email:-1",
                "the level of \"email:-1\" must be a whole number from 0",
            ),
            ("a..b:1", "field path 'a..b' has an empty segment"),
            (
                "a:1,a.b:2",
                "a and a/b name the same field, or one lies within the other",
            ),
        ] {
            assert_eq!(ListedFields::parse(text).unwrap_err(), message, "{text}");
        }
    }
}
