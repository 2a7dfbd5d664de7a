//! Keys: wrapping, opening and caching them, and the rows that the installation's own keys
//! authenticate.
//!
//! A master key (the key-encryption key) wraps the data keys of projects and the installation's own
//! keys. A data key seals the values of one project. The installation's AUDIT key makes the MACs of
//! events, outbox rows, settings and the rows of data keys; its SIGNING key signs receipts and
//! heads.
//!
//! [`Installation`] owns all of this. It exists before the vault, since it also opens the
//! authorizer that the vault asks. `migrate` calls a `set_up_` method once; a server then opens the
//! authorizer, and the vault opens data keys as it needs them.
//!
//! - `cache` keeps opened data keys in memory for a few minutes, and unwraps keys with the master
//!   keys.
//! - `data_keys` makes and opens data keys; `data_key_states` authenticates their rows.
//! - `project_keys` opens the data keys of a project for one change, before its transaction.
//! - `project_states` authenticates the rows of projects and milestones, and what is listed there.
//! - `signing` signs the rows of older releases, once.
//! - `installation_keys` holds the AUDIT and SIGNING keys; `settings` the settings under MACs.

mod cache;
mod data_key_states;
mod data_keys;
mod installation;
mod installation_keys;
mod project_keys;
mod project_states;
mod settings;
mod signing;

pub use cache::MAX_SEALED;
pub use cache::OnProgress;
pub(super) use cache::keyring_error;
pub use data_key_states::ForgedKey;
pub(super) use data_key_states::{replaced, signed, verify, verify_replaced};
pub use installation::{ExistingRows, Installation, InstallationError};
pub(super) use installation_keys::retired_setting;
pub(super) use project_keys::ProjectKeys;
pub use project_states::ForgedProject;
pub(super) use project_states::{OpenProject, verify_milestone, verify_project};
pub use settings::ForgedSetting;
pub(super) use settings::verify as verify_setting;
pub(super) use signing::SIGNED;
