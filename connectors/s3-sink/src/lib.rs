//! Files in Amazon S3, in the words of Confluent's connector ([`ConfluentS3Config`]) and of Aiven's
//! ([`AivenS3Config`]). The work is done by [`ObjectSink`].

mod aiven;
mod confluent;
mod credentials;

pub use aiven::AivenS3Config;
pub use confluent::ConfluentS3Config;
pub use penstock_objects::ObjectSink;
