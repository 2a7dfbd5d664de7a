//! Refusals that fill the disk, and queries of the audit that cost too much.
