//! Servers that answer with more than they were asked for.
