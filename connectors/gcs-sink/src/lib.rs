//! Files in Google Cloud Storage, in the words of Confluent's connector ([`ConfluentGcsConfig`]) and of
//! Aiven's ([`AivenGcsConfig`]). The work is done by [`ObjectSink`].

mod aiven;
mod confluent;
mod credentials;

pub use aiven::AivenGcsConfig;
pub use confluent::ConfluentGcsConfig;
pub use penstock_objects::ObjectSink;
