//! What the counters tell to somebody who may not know.
