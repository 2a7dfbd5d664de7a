//! Connections and requests that are held open without being finished.
