//! In the place of `otlp.rs` in builds without the feature `otlp`, which export nothing.

use super::config::OtlpConfig;
use super::{ExportError, TraceContext, TraceLayer};

/// Sends nothing; there is none.
pub enum Exporter {}

impl Exporter {
    /// Prepares no export.
    ///
    /// # Errors
    /// Always.
    pub fn start(_: &OtlpConfig) -> Result<(TraceLayer, Self), ExportError> {
        Err(ExportError::NotBuiltIn)
    }

    /// Ends.
    #[allow(clippy::unused_async, reason = "as in builds with the feature")]
    pub async fn end(self) {
        match self {}
    }

    /// Sends nothing.
    ///
    /// # Errors
    /// Always.
    #[allow(clippy::unused_async, reason = "as in builds with the feature")]
    pub async fn try_collector(_: &OtlpConfig) -> Result<(), ExportError> {
        Err(ExportError::NotBuiltIn)
    }
}

pub(super) const fn begin(_: &tracing::Span, _: &TraceContext) -> Option<(u128, u64, u8)> {
    None
}

pub(super) const fn ids(_: &tracing::Span) -> Option<(u128, u64, u8)> {
    None
}
