//! The integration tests: one binary, two backends.
