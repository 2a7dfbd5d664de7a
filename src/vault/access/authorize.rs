//! Authorizing a change before its transaction begins, and denying it: FORBIDDEN to callers who may
//! see the thing, NOT_FOUND to everybody else.

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

/// A change that its caller asks for: what is recorded if it is denied, and how the denial reads.
pub(super) struct Request<'a> {
    pub caller: &'a Caller,
    /// The event of a denial.
    pub event: EventRow,
    /// The object the caller named, which tells denials apart.
    pub named: Named,
    /// The message of NOT_FOUND.
    pub not_found: &'static str,
    /// Whether the thing exists only for callers who may administer the project.
    pub administrators_only: bool,
}

/// A change that the authorizer allowed; [`Granted::open`] begins its transaction.
pub(in crate::vault) struct Granted<'a, P: ProjectPermission> {
    pub(super) access: &'a Access,
    pub(super) request: Request<'a>,
    pub(super) by: Authorized<P>,
}

impl Access {
    /// Asks for `P` on a project. A denial is recorded as `event`.
    ///
    /// # Errors
    /// FORBIDDEN for callers who may see the project, NOT_FOUND for everybody else, RATE_LIMITED
    /// for callers who are denied too often, UNAVAILABLE when the database or the authorizer does
    /// not answer.
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

    /// As [`Self::authorize`], for an entry by its id, whose row it gives. A DELETED entry exists
    /// only for callers who may administer the project.
    pub(in crate::vault) async fn authorize_entry<'a, P: ProjectPermission>(
        &'a self,
        caller: &'a Caller,
        action: AuditAction,
        id: &str,
    ) -> Result<(Granted<'a, P>, EntryRow)> {
        let id = EntryId::parse(id);
        // A text that is no id is looked up as well, so that the work is the same.
        let row = self.store.conn().await?.entry_row(id.unwrap_or_else(EntryId::new)).await?;
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

    /// As [`Self::authorize`], for a milestone by its id, whose row it gives.
    pub(in crate::vault) async fn authorize_milestone<'a, P: ProjectPermission>(
        &'a self,
        caller: &'a Caller,
        action: AuditAction,
        id: &str,
    ) -> Result<(Granted<'a, P>, MilestoneRow)> {
        let id = MilestoneId::parse(id).ok();
        let row = match &id {
            Some(id) => self.store.conn().await?.milestones_by_id(std::slice::from_ref(id)).await?.pop(),
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

    /// Asks for a permission on the vault as a whole, which the platform's service alone has.
    /// Nothing is looked up for anybody else.
    ///
    /// # Errors
    /// FORBIDDEN, which is recorded; RATE_LIMITED and UNAVAILABLE as [`Self::authorize`].
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

    /// Asks whether the caller may read every audit event.
    ///
    /// # Errors
    /// FORBIDDEN, or UNAVAILABLE when the authorizer does not answer.
    pub async fn authorize_auditor(&self, caller: &Caller) -> Result<Authorized<CanAuditVault>> {
        self.on_vault(caller).await?.ok_or(NOT_AN_AUDITOR)
    }

    async fn on_vault<P: VaultPermission>(&self, caller: &Caller) -> Result<Option<Authorized<P>>> {
        let question = Question::on_vault(&caller.principal, P::PERMISSION);
        let decision = self.authorizer.decide(&[question]).await?.pop();
        Ok(decision.and_then(|decision| decision.authorize::<P>()))
    }
}
