//! Authorizes a change before its transaction begins. Denials are FORBIDDEN for callers with
//! permission to see the object, and NOT_FOUND for all others.

use super::{Access, Decided, NOWHERE};
use crate::authz::Question;
use crate::domain::{AuditAction, EntryId, Error, MilestoneId, ProjectId, Result};
use crate::permission::{Authorized, CanAuditVault, Permission, ProjectPermission, VaultPermission};
use crate::store::records::{EntryRow, EventRow, MilestoneRow};
use crate::vault::Caller;
use crate::vault::audit::{Denial, Named};

pub(super) const NO_SUCH_PROJECT: &str = "There is no such project, or you may not see it.";
pub(super) const NO_SUCH_ENTRY: &str = "There is no such entry, or you may not see it.";
pub(super) const NO_SUCH_MILESTONE: &str = "There is no such milestone, or you may not see it.";
const NOT_YOUR_ROLE: Error =
    Error::Forbidden("Your role in this project does not allow this; ask an Accountable person.");
const NOT_THE_PLATFORM: Error = Error::Forbidden("Only the platform's service may do this.");
const NOT_AN_AUDITOR: Error = Error::Forbidden("Only an auditor of the vault may read this.");

/// A request for a change, with what a denial of it records and answers.
pub(super) struct Request<'a> {
    pub caller: &'a Caller,
    /// The event to record for a denial.
    pub event: EventRow,
    /// The objects that the caller named, which distinguish denials.
    pub named: Named,
    /// The message of NOT_FOUND.
    pub not_found: &'static str,
    /// Whether to answer NOT_FOUND to callers without permission to administer the project.
    pub administrators_only: bool,
}

/// An authorized change; [`Granted::open`] begins its transaction.
pub(in crate::vault) struct Granted<'a, P: ProjectPermission> {
    pub(super) access: &'a Access,
    pub(super) request: Request<'a>,
    pub(super) by: Authorized<P>,
}

impl Access {
    /// Requires `P` on a project. A denial is recorded as `event`.
    ///
    /// # Errors
    /// FORBIDDEN for callers with permission to see the project, NOT_FOUND for all others;
    /// RATE_LIMITED for callers that are denied too often; UNAVAILABLE when the database or the
    /// authorizer does not answer.
    pub(in crate::vault) async fn authorize<'a, P: ProjectPermission>(
        &'a self,
        caller: &'a Caller,
        event: EventRow,
        project: &ProjectId,
    ) -> Result<Granted<'a, P>> {
        let named = Named::by(&event);
        let request = Request { caller, event, named, not_found: NO_SUCH_PROJECT, administrators_only: false };
        self.grant(request, Some(project)).await
    }

    /// As [`Self::authorize`], for an entry by its id; also gives the entry's row. Only callers
    /// with permission to administer the project see a DELETED entry.
    pub(in crate::vault) async fn authorize_entry<'a, P: ProjectPermission>(
        &'a self,
        caller: &'a Caller,
        action: AuditAction,
        id: &str,
    ) -> Result<(Granted<'a, P>, EntryRow)> {
        let id = EntryId::parse(id);
        // An invalid id is replaced by a random one and looked up, so that the work is the same.
        let row = self.store.reader().await?.entry_row(id.unwrap_or_else(EntryId::new)).await?;
        let event = caller.event(action, self.installation.now());
        let event = match &row {
            Some(row) => EventRow { entry_version: None, ..event.on_entry(row) },
            None => EventRow {
                project: Some(NOWHERE.to_owned()),
                entry: Some(id.unwrap_or_else(EntryId::new)),
                entry_name: Some(NOWHERE.to_owned()),
                ..event
            },
        };
        let request = Request {
            caller,
            event,
            named: Named { entry: id, ..Named::default() },
            not_found: NO_SUCH_ENTRY,
            administrators_only: row.as_ref().is_some_and(|row| row.deleted_at.is_some()),
        };
        let granted = self.grant(request, row.as_ref().map(|row| &row.project)).await?;
        row.map(|row| (granted, row)).ok_or(Error::NotFound(NO_SUCH_ENTRY))
    }

    /// As [`Self::authorize`], for a milestone by its id; also gives the milestone's row.
    pub(in crate::vault) async fn authorize_milestone<'a, P: ProjectPermission>(
        &'a self,
        caller: &'a Caller,
        action: AuditAction,
        id: &str,
    ) -> Result<(Granted<'a, P>, MilestoneRow)> {
        let id = MilestoneId::parse(id).ok();
        let row = match &id {
            Some(id) => self.store.reader().await?.milestones_by_id(std::slice::from_ref(id)).await?.pop(),
            None => None,
        };
        let event = caller.event(action, self.installation.now());
        let event = match &row {
            Some(row) => event.in_project(&row.project).on_milestone(Some(&row.id)),
            None => EventRow { project: Some(NOWHERE.to_owned()), milestone: Some(NOWHERE.to_owned()), ..event },
        };
        let named = Named { milestone: id.map(|id| id.as_str().to_owned()), ..Named::default() };
        let request = Request { caller, event, named, not_found: NO_SUCH_MILESTONE, administrators_only: false };
        let granted = self.grant(request, row.as_ref().map(|row| &row.project)).await?;
        row.map(|row| (granted, row)).ok_or(Error::NotFound(NO_SUCH_MILESTONE))
    }

    pub(super) async fn grant<'a, P: ProjectPermission>(
        &'a self,
        request: Request<'a>,
        project: Option<&ProjectId>,
    ) -> Result<Granted<'a, P>> {
        let on = |permission| (project.cloned(), permission);
        let asked = [on(P::PERMISSION), on(Permission::CanSee), on(Permission::CanAdminister)];
        let Decided { held, existing } = self.check(request.caller, &asked).await?;
        let sees = held.contains_key(&asked[1]);
        let hidden = request.administrators_only && !held.contains_key(&asked[2]);
        if project.is_none_or(|project| !existing.contains(project)) {
            return Err(self.deny_as_not_found(request, true).await);
        }
        match held.get(&asked[0]).and_then(|access| access.decision.authorize::<P>()) {
            Some(by) if !hidden => Ok(Granted { access: self, request, by }),
            _ if hidden || !sees => Err(self.deny_as_not_found(request, false).await),
            _ => Err(self.audit.deny(request.event, NOT_YOUR_ROLE).await),
        }
    }

    async fn deny_as_not_found(&self, request: Request<'_>, is_decoy: bool) -> Error {
        let Request { named, event, not_found, .. } = request;
        self.audit.deny_as_not_found(Denial { named, event, is_decoy }, Error::NotFound(not_found)).await
    }

    /// Requires a permission on the whole vault, which only the platform's service has. For other
    /// callers nothing is looked up in the database.
    ///
    /// # Errors
    /// FORBIDDEN for all other callers, which is recorded; RATE_LIMITED and UNAVAILABLE as
    /// [`Self::authorize`].
    pub(in crate::vault) async fn authorize_service<P: VaultPermission>(
        &self,
        caller: &Caller,
        action: AuditAction,
    ) -> Result<Authorized<P>> {
        match self.on_vault::<P>(caller).await? {
            Some(authorized) => Ok(authorized),
            None => Err(self.audit.deny(caller.event(action, self.installation.now()), NOT_THE_PLATFORM).await),
        }
    }

    /// Requires permission to read all audit events.
    ///
    /// # Errors
    /// FORBIDDEN for callers that are not auditors, UNAVAILABLE when the authorizer does not
    /// answer.
    pub async fn authorize_auditor(&self, caller: &Caller) -> Result<Authorized<CanAuditVault>> {
        self.on_vault(caller).await?.ok_or(NOT_AN_AUDITOR)
    }

    async fn on_vault<P: VaultPermission>(&self, caller: &Caller) -> Result<Option<Authorized<P>>> {
        let question = Question::on_vault(&caller.principal, P::PERMISSION);
        let decision = self.authorizer.decide(&[question]).await?.pop();
        Ok(decision.and_then(|decision| decision.authorize::<P>()))
    }
}
