//! Bodies that take far more memory than they have bytes.
