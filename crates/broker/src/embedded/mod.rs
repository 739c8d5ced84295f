//! The embedded durable log: a broker in this process, on one store under a data directory.
