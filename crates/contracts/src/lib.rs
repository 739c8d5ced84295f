//! Event contracts: which schema an event has, which of its fields are personal and at which consent
//! level, and which rules its values follow.
//!
//! - [`Contract`] is what a contract file says; [`Contract::parse`] reports every problem with line,
//!   column and JSON path; [`Contract::check_schema`] holds it against its schema, offline.
//! - [`Contracts`] is the set that a worker shares, loaded from a directory
//!   (`handle/name/x.y.z.json`) and changed at run time.
//! - [`Resolver`] and [`Program`] carry contracts out: they find in one walk over an event's bytes
//!   all that a transform needs, compiled once for each contract and schema.

mod batch;
mod check;
mod contract;
mod document;
mod listed;
mod load;
mod meta;
mod parse;
mod program;
mod reference;
mod resolver;
mod store;
mod tagged;

pub use batch::EventBatch;
pub use contract::{Contract, Level, PiiField, Rules, State, Validation, slashed};
pub use document::Problem;
pub use listed::ListedFields;
pub use load::read_dir;
pub use meta::MetaFields;
pub use program::{Program, Purpose};
pub use reference::{ContractRef, InvalidContractRef};
pub use resolver::{ContractSource, Resolver, TaggedRules};
pub use store::{ChangeError, Contracts};
pub use tagged::PersonalTags;
