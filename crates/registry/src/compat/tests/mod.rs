//! Compatibility: case by case for each kind, and for JSON Schema against a validator.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod avro;
mod json;
mod soundness;

use serde_json::json;

use super::*;
use crate::content::normal_form;

fn avro(text: &str) -> Comparable {
    let schema = serde_json::from_str(text).unwrap();
    Comparable {
        kind: SchemaKind::Avro,
        schema: normal_form(SchemaKind::Avro, &schema),
        references: Vec::new(),
    }
}

fn json_schema(schema: Value) -> Comparable {
    Comparable {
        kind: SchemaKind::Json,
        schema,
        references: Vec::new(),
    }
}

/// The first finding of reading `old` with `new`, or nothing.
fn backward(new: &Comparable, old: &Comparable) -> Option<String> {
    let messages = check(CompatibilityLevel::Backward, new, old);
    let kind = messages.first()?.split('\'').nth(1)?;
    Some(kind.to_owned())
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","namespace":"n","fields":[{fields}]}}"#)
}

#[test]
fn levels_ask_in_their_direction() {
    let narrow = avro(&record(r#"{"name":"f","type":"int"}"#));
    let wide = avro(&record(r#"{"name":"f","type":"long"}"#));
    use CompatibilityLevel as L;
    for (level, widened, narrowed) in [
        (L::None, true, true),
        (L::Backward, true, false),
        (L::BackwardTransitive, true, false),
        (L::Forward, false, true),
        (L::ForwardTransitive, false, true),
        (L::Full, false, false),
        (L::FullTransitive, false, false),
    ] {
        assert_eq!(check(level, &wide, &narrow).is_empty(), widened, "{level}");
        assert_eq!(check(level, &narrow, &wide).is_empty(), narrowed, "{level}");
        assert_eq!(level.name().to_lowercase().parse(), Ok(level));
    }
    let other_kind = json_schema(json!({"type": "object"}));
    assert!(!check(L::Backward, &other_kind, &narrow).is_empty());
    assert!(check(L::None, &other_kind, &narrow).is_empty());
}
