//! Answers that nobody reads, and answers that are far larger than their questions.
