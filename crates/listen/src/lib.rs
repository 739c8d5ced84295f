//! What the HTTP listeners of a worker share.

mod refusal;

pub use refusal::hear_out;
