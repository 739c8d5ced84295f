//! Schemas and contracts on disk, held against each other without a registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use penstock_formats::{Schema, SchemaKind};

use crate::config::WorkerConfig;

/// Every problem in `schemas.dir` and `contracts.dir`, one line each.
pub(super) fn check(worker: &WorkerConfig) -> Vec<String> {
    let mut problems = Vec::new();
    let mut schemas: BTreeMap<String, Arc<Schema>> = BTreeMap::new();
    if let Some(dir) = &worker.schemas_dir {
        match penstock_registry::check_dir(dir) {
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
            Ok(files) => {
                for file in files {
                    // Files come in an order in which references precede what refers to them.
                    let references: Vec<(String, Arc<Schema>)> = file
                        .references
                        .iter()
                        .filter_map(|(name, target)| {
                            Some((name.clone(), schemas.get(target.as_str())?.clone()))
                        })
                        .collect();
                    let parsed = match file.kind {
                        SchemaKind::Avro => Schema::avro(&file.text, &references),
                        SchemaKind::Json => Schema::json(&file.text, &references),
                    };
                    if let Ok(schema) = parsed {
                        schemas.insert(file.reference.as_str().to_owned(), Arc::new(schema));
                    }
                }
            }
        }
    }
    if let Some(dir) = &worker.contracts_dir {
        match penstock_contracts::read_dir(dir) {
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
            Ok(contracts) => {
                for contract in contracts {
                    // A schema that is not on disk may be in the registry.
                    if let Some(schema) = schemas.get(contract.schema_ref.as_str()) {
                        problems.extend(
                            contract
                                .check_schema(schema)
                                .iter()
                                .map(ToString::to_string),
                        );
                    }
                }
            }
        }
    }
    problems
}
