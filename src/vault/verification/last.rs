//! The last complete verification, as a setting of the installation: with its MAC, nobody who writes
//! to the database can claim one.

use super::{Verification, Verifier};
use crate::domain::{Error, Result, Timestamp};
use crate::vault::keys::Installation;

/// The name of the setting.
const SETTING: &str = "audit_verified";
const INTACT: &str = "intact";
const BROKEN: &str = "broken";

/// When the audit log was last verified as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastVerification {
    /// When it was verified.
    pub at: Timestamp,
    /// Whether everything was as it was recorded.
    pub intact: bool,
}

impl Verifier {
    /// Stores the result of a complete verification, of now.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be written to.
    pub async fn store_result(&self, found: &Verification) -> Result<()> {
        let word = if found.breaks.is_empty() { INTACT } else { BROKEN };
        self.installation.set_setting(SETTING, &format!("{} {word}", self.now().to_rfc3339())).await
    }
}

/// The last complete verification; `None` if there was none.
///
/// # Errors
/// INTERNAL when the setting was changed by hand or cannot be read, UNAVAILABLE when the database cannot be reached.
pub(in crate::vault) async fn last_verification(installation: &Installation) -> Result<Option<LastVerification>> {
    let Some(stored) = installation.setting(SETTING).await? else { return Ok(None) };
    let read = stored.split_once(' ').and_then(|(at, word)| {
        let intact = match word {
            INTACT => true,
            BROKEN => false,
            _ => return None,
        };
        Some(LastVerification { at: Timestamp::parse(at)?, intact })
    });
    read.map(Some).ok_or_else(|| Error::internal("the last verification that is stored cannot be read"))
}
