//! The secrets an agent asks for.

/// The secrets to ask for.
pub struct Wanted<'a> {
    /// These names; all without.
    pub names: Option<&'a [String]>,
    /// Names that the caller has itself.
    pub provided: &'a [String],
    /// `CODING_SESSION` or `TOOL_EXECUTION`.
    pub purpose: &'a str,
}
