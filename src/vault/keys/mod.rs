//! Keys: what wraps what, how keys are opened and remembered, and what the installation's own keys
//! authenticate.
//!
//! A master key wraps the data keys of projects and the keys of the installation. A data key seals
//! the values of one project. The installation's AUDIT key authenticates events, settings and the
//! states of data keys; its SIGNING key signs receipts and heads.
//!
//! [`Installation`] holds all of it. It exists before there is a vault, since it also says which
//! authorizer the vault asks.

mod cache;
mod data_key_states;
mod data_keys;
mod installation;
mod installation_keys;
mod project_keys;
mod settings;

pub use cache::MAX_SEALED;
pub use cache::OnProgress;
pub(super) use cache::keyring_error;
pub use data_key_states::ForgedKey;
pub(super) use data_key_states::{replaced, signed, verify, verify_replaced};
pub(super) use installation::SIGNED;
pub use installation::{ExistingRows, Installation, InstallationError};
pub(super) use installation_keys::retired_setting;
pub(super) use project_keys::ProjectKeys;
pub use settings::ForgedSetting;
pub(super) use settings::verify as verify_setting;
