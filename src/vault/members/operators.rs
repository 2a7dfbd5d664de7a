//! Registrars, the services that register projects, and auditors, which read all audit events. An
//! operator sets them from a shell.

use super::Members;
use crate::authz::{Tuple, TupleChange, TupleFilter};
use crate::domain::{Actor, AuditAction, RequestId, Result, ServiceId, UserId};
use crate::vault::audit::event;
use crate::vault::tuples::{OutboxPartition, Step};

/// A principal that may read all audit events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auditor {
    /// A person.
    User(UserId),
    /// A service, such as one that collects security events.
    Service(ServiceId),
}

impl std::fmt::Display for Auditor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
        }
    }
}

impl Members {
    /// Grants a service the right to register and manage projects if `may`, else revokes it.
    /// Repeating it changes nothing. Gives whether anything changed.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the authorizer cannot be reached.
    pub async fn set_registrar(&self, service: &ServiceId, may: bool) -> Result<bool> {
        let action = if may { AuditAction::RegistrarAdded } else { AuditAction::RegistrarRemoved };
        self.set_vault_tuple(action, Tuple::registrar(service), may, format!("service:{service}")).await
    }

    /// Grants a principal the right to read all audit events if `may`, else revokes it. Repeating
    /// it changes nothing. Gives whether anything changed.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the authorizer cannot be reached.
    pub async fn set_auditor(&self, auditor: &Auditor, may: bool) -> Result<bool> {
        let action = if may { AuditAction::AuditorAdded } else { AuditAction::AuditorRemoved };
        let tuple = match auditor {
            Auditor::User(id) => Tuple::auditor_user(id),
            Auditor::Service(id) => Tuple::auditor_service(id),
        };
        self.set_vault_tuple(action, tuple, may, auditor.to_string()).await
    }

    async fn set_vault_tuple(&self, action: AuditAction, tuple: Tuple, present: bool, subject: String) -> Result<bool> {
        let mut tx = self.tuples.begin_change(OutboxPartition::Vault).await?;
        let is_held = self.tuples.read(&mut tx, &TupleFilter::of_vault()).await?.contains(&tuple);
        let is_pending = !present && tx.pending_writes().contains(&tuple);
        if (is_held || is_pending) == present {
            tx.commit().await?;
            return Ok(false);
        }
        let tuples = vec![tuple];
        let change = if present {
            TupleChange { write: tuples, delete: vec![] }
        } else {
            TupleChange { write: vec![], delete: tuples }
        };
        let event = event(&Actor::Operator, RequestId::new().as_str(), action, self.now()).about(subject);
        self.tuples.commit_and_apply(tx, OutboxPartition::Vault, &[event], &[Step::Change(change)]).await?;
        Ok(true)
    }
}
