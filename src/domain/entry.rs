//! Properties of an entry besides its value.

use super::{Timestamp, text_enum};

text_enum! {
    /// The kind of credential an entry holds.
    pub enum Category {
        /// A key for an API.
        ApiKey = "API_KEY",
        /// A token that grants access, such as a personal access token.
        AccessToken = "ACCESS_TOKEN",
        /// A secret without a more precise kind.
        Secret = "SECRET",
        /// A PEM certificate, with or without its private key.
        Certificate = "CERTIFICATE",
        /// A password; no part of it is ever shown.
        Password = "PASSWORD",
        /// A secret that signs or checks webhooks.
        WebhookSecret = "WEBHOOK_SECRET",
        /// Anything else.
        Other = "OTHER",
    }
}

text_enum! {
    /// Whether an entry belongs to a project or to a milestone.
    pub enum Scope {
        /// The whole project.
        Project = "PROJECT",
        /// One milestone of the project.
        Milestone = "MILESTONE",
    }
}

text_enum! {
    /// Whether an entry is live, and if not why (`product.md`, section 3).
    pub enum EntryStatus {
        /// Live: agents receive it.
        Active = "ACTIVE",
        /// Its `expiresAt` has passed.
        Expired = "EXPIRED",
        /// Switched off by a person.
        Disabled = "DISABLED",
        /// Deleted, and restorable for the retention period.
        Deleted = "DELETED",
    }
}

impl EntryStatus {
    /// The status of an entry: DELETED if deleted, else DISABLED if disabled, else EXPIRED once
    /// `expires_at` has passed, else ACTIVE. No other code decides a status, except SQL that
    /// repeats this rule.
    #[must_use]
    pub fn of(deleted: bool, disabled: bool, expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        if deleted {
            Self::Deleted
        } else if disabled {
            Self::Disabled
        } else if expires_at.is_some_and(|at| at <= now) {
            Self::Expired
        } else {
            Self::Active
        }
    }
}

/// The period in which agents see a milestone's entries. A missing bound is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phase {
    /// The first instant of the phase.
    pub opens_at: Option<Timestamp>,
    /// The first instant after the phase.
    pub closes_at: Option<Timestamp>,
}

impl Phase {
    /// Whether `opens_at` is null or has come, and `closes_at` is null or still to come.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.opens_at.is_none_or(|at| at <= now) && self.closes_at.is_none_or(|at| at > now)
    }

    /// The phase closed at `now`: `closes_at` becomes `now`, and so does an `opens_at` still to
    /// come. A phase that has already ended is unchanged.
    #[must_use]
    pub fn closed(self, now: Timestamp) -> Self {
        if self.closes_at.is_some_and(|at| at <= now) {
            return self;
        }
        Self { opens_at: self.opens_at.map(|at| at.min(now)), closes_at: Some(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_is_the_first_that_applies() {
        let now = Timestamp::from_millis(1_000);
        let past = Some(now);
        let later = Some(Timestamp::from_millis(1_001));
        assert_eq!(EntryStatus::of(true, true, past, now), EntryStatus::Deleted);
        assert_eq!(EntryStatus::of(false, true, past, now), EntryStatus::Disabled);
        assert_eq!(EntryStatus::of(false, false, past, now), EntryStatus::Expired);
        assert_eq!(EntryStatus::of(false, false, later, now), EntryStatus::Active);
        assert_eq!(EntryStatus::of(false, false, None, now), EntryStatus::Active);
    }

    #[test]
    fn a_closed_phase_is_never_open() {
        let now = Timestamp::from_millis(1_000);
        let at = |ms| Some(Timestamp::from_millis(ms));
        for opens_at in [None, at(10), at(1_000), at(5_000)] {
            for closes_at in [None, at(20), at(1_000), at(6_000)] {
                let closed = Phase { opens_at, closes_at }.closed(now);
                assert!(!closed.is_open(now) && !closed.is_open(Timestamp::from_millis(5_500)), "{closed:?}");
            }
        }
    }
}
