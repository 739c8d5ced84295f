//! What the end-to-end suites share: the worker run as its users run it, in a copy of one of the
//! folders under `acceptance/`, on the embedded log or on real Kafka, with clients around it.

// A harness that cannot do its work ends the test, and says why.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod buckets;
pub mod certificates;
mod deployment;
mod estate;
pub mod events;
pub mod faults;
mod gateway;
pub mod identities;
mod programs;
pub mod readers;
pub mod senders;
pub mod sse;
mod viewer;
mod wait;
mod worker;

pub use buckets::{Bucket, Object};
pub use deployment::Deployment;
pub use estate::Estate;
pub use gateway::{Answer, Gateway};
pub use programs::{penstock, python};
pub use viewer::Viewer;
pub use wait::eventually;
pub use worker::Worker;

/// Makes of one test two: `name::embedded` and `name::kafka`.
///
/// ```
/// # mod events {
/// use penstock_tests::{Estate, on_both_brokers};
///
/// on_both_brokers! {
///     async fn events_are_kept(estate: Estate) {
///         let _folder = estate.deploy("demo");
///     }
/// }
/// # }
/// ```
#[macro_export]
macro_rules! on_both_brokers {
    ($( $(#[$attribute:meta])* async fn $name:ident($estate:ident: $estate_type:ty) $body:block )*) => {$(
        $(#[$attribute])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            async fn test($estate: $estate_type) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                test($crate::Estate::embedded()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn kafka() {
                test($crate::Estate::kafka().await).await;
            }
        }
    )*};
}
