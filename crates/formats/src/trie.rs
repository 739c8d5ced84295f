//! Paths as a tree of segments.
