//! The schema registry: a caching client for any Confluent-compatible registry, and the embedded
//! registry server that a worker starts when no `schema.registry.url` is given.
//!
//! - [`RegistryClient`] finds schemas by id, by GUID and by [`SchemaRef`], registers new ones, and
//!   answers from its caches without waiting on the path of an event.
//! - [`register_dir`] publishes a directory of schema files; [`check_dir`] is its offline half.
//! - [`Store`] and [`router`] (or [`serve`]) are the embedded registry: Confluent's REST paths over
//!   a durable file.
//! - [`CompatibilityLevel`] and the rules behind it are in [`compat`].

pub mod compat;

mod client;
mod configured;
mod content;
mod error;
mod loader;
mod schema_ref;
mod server;
mod subject;
mod wire;

pub use client::{Auth, Registration, RegistryClient, RegistryConfig, Secret};
pub use compat::CompatibilityLevel;
pub use error::{RegistryError, Retry};
pub use loader::{
    Problem, PublishError, Registered, SchemaFile, check_dir, register_dir, register_schema,
};
pub use schema_ref::{InvalidSchemaRef, SchemaRef};
pub use server::{Store, StoreError, router, serve};
pub use subject::{SubjectError, SubjectStrategy};
pub use wire::Reference;
