//! Which store and which model at OpenFGA an installation uses: made once, pinned by their ids, and
//! confirmed by name and content ever after. A person who can write the pinned ids controls every
//! decision, so an id alone is never believed.

use super::super::model::JSON;
use super::{CALL_TIMEOUT, Client, OpenFgaConfig};
use openfga_client::client::{
    AuthorizationModel, CreateStoreRequest, GetStoreRequest, ListStoresRequest, ReadAuthorizationModelRequest,
    ReadAuthorizationModelsRequest, RelationReference, TypeDefinition, WriteAuthorizationModelRequest,
};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use tonic::{Code, Status};

/// Stores in one page of a list: OpenFGA's limit.
const STORES: i32 = 100;
/// Pages that are read in search of a store before giving up.
const MAX_PAGES: usize = 1_000;

/// The ids that an installation pins for all its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedModel {
    /// The store's id at OpenFGA.
    pub store: String,
    /// The id of the model in that store.
    pub model: String,
    /// A digest of the model, which tells releases apart.
    pub digest: String,
}

/// Why OpenFGA cannot be used as it is set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL or the token has not the form.
    #[error("{0}")]
    Config(&'static str),
    /// `migrate` has not run, or not for this version.
    #[error(
        "the authorization model is not the one of this version; run `project-vault migrate`, or serve with --migrate"
    )]
    NotMigrated,
    /// The pinned store bears another name than the configured one.
    #[error(
        "this installation's store at OpenFGA is called {found:?}, but OPENFGA_STORE says {expected:?}; set OPENFGA_STORE to the \
         store that this vault was set up with"
    )]
    OtherStore {
        /// The configured name.
        expected: String,
        /// The name at OpenFGA.
        found: String,
    },
    /// OpenFGA does not have the pinned store.
    #[error(
        "OpenFGA does not have this installation's store any more; restore OpenFGA's datastore from a backup, or check that \
         OPENFGA_URL names the right server"
    )]
    NoStore,
    /// The pinned model is not the built-in one.
    #[error(
        "the authorization model at OpenFGA is not the one this program was built with, although the database says so; run \
         `project-vault migrate`, and find out who changed the table `installation`"
    )]
    OtherModel,
    /// The installation has used a store, and none has the configured name.
    #[error(
        "OpenFGA has no store called {0:?}, and this installation has used one before; set OPENFGA_STORE to its name, so that its \
         permissions are not lost"
    )]
    NoStoreOfName(String),
    /// The configured name does not tell which store is meant.
    #[error("OpenFGA has several stores called {0:?}; delete all but the one that holds this vault's permissions")]
    SeveralStores(String),
    /// OpenFGA did not answer as it should.
    #[error("OpenFGA cannot be set up ({0}); check OPENFGA_URL and OPENFGA_TOKEN")]
    Unreachable(String),
}

impl SetupError {
    /// Whether OpenFGA did not answer, so that nothing is known to be wrong.
    pub(super) const fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

pub(super) const UNREADABLE: SetupError = SetupError::Config("the built-in authorization model cannot be read");

pub(super) fn digest() -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(JSON.as_bytes()))
}

fn built_in() -> Result<AuthorizationModel, SetupError> {
    serde_json::from_str(JSON).map_err(|_| UNREADABLE)
}

/// Finds or makes the store and the model. `known` is what the installation has pinned and vouches
/// for; without it, the store is looked up by its name, and made only where `may_create`.
pub(super) async fn find_or_make(
    client: &mut Client,
    config: &OpenFgaConfig,
    known: Option<PinnedModel>,
    may_create: bool,
) -> Result<PinnedModel, SetupError> {
    if let Some(known) = known {
        require_name(client, &known.store, &config.store).await?;
        if known.digest == digest() && is_built_in(client, &known.store, &known.model).await? {
            return Ok(known);
        }
        let model = current_or_new_model(client, &known.store).await?;
        return Ok(PinnedModel { store: known.store, model, digest: digest() });
    }
    let store = match stores_named(client, &config.store).await?.as_slice() {
        [store] => store.clone(),
        [] if may_create => {
            let request = CreateStoreRequest { name: config.store.clone() };
            in_time(client.create_store(request)).await?.id
        }
        [] => return Err(SetupError::NoStoreOfName(config.store.clone())),
        [..] => return Err(SetupError::SeveralStores(config.store.clone())),
    };
    let model = current_or_new_model(client, &store).await?;
    Ok(PinnedModel { store, model, digest: digest() })
}

/// Confirms that the pinned store bears the configured name and that the pinned model is the
/// built-in one.
pub(super) async fn confirm(client: &Client, name: &str, pinned: &PinnedModel) -> Result<(), SetupError> {
    let (mut one, mut other) = (client.clone(), client.clone());
    let (named, model) = tokio::join!(
        require_name(&mut one, &pinned.store, name),
        is_built_in(&mut other, &pinned.store, &pinned.model),
    );
    named?;
    if model? { Ok(()) } else { Err(SetupError::OtherModel) }
}

async fn require_name(client: &mut Client, store: &str, expected: &str) -> Result<(), SetupError> {
    let request = GetStoreRequest { store_id: store.to_owned() };
    let found = match tokio::time::timeout(CALL_TIMEOUT, client.get_store(request)).await {
        Ok(Ok(found)) => found.into_inner().name,
        Ok(Err(status)) if is_not_found(&status) => return Err(SetupError::NoStore),
        Ok(Err(status)) => return Err(unreachable(&status)),
        Err(_) => return Err(SetupError::Unreachable("it does not answer in time".to_owned())),
    };
    if found == expected { Ok(()) } else { Err(SetupError::OtherStore { expected: expected.to_owned(), found }) }
}

/// The ids of the stores of this name.
pub(super) async fn stores_named(client: &mut Client, name: &str) -> Result<Vec<String>, SetupError> {
    let mut ids = Vec::new();
    let mut continuation_token = String::new();
    for _ in 0..MAX_PAGES {
        let request = ListStoresRequest { page_size: Some(STORES), continuation_token, name: name.to_owned() };
        let page = in_time(client.list_stores(request)).await?;
        // A server from before the filter by name answers all of them.
        ids.extend(page.stores.into_iter().filter(|store| store.name == name).map(|store| store.id));
        continuation_token = page.continuation_token;
        if continuation_token.is_empty() {
            return Ok(ids);
        }
    }
    Err(SetupError::Unreachable("its list of stores does not end".to_owned()))
}

async fn is_built_in(client: &mut Client, store: &str, id: &str) -> Result<bool, SetupError> {
    let request = ReadAuthorizationModelRequest { store_id: store.to_owned(), id: id.to_owned() };
    match tokio::time::timeout(CALL_TIMEOUT, client.read_authorization_model(request)).await {
        Ok(Ok(read)) => match read.into_inner().authorization_model {
            Some(model) => Ok(same_model(&model, &built_in()?)),
            None => Ok(false),
        },
        // An id that has not the form of one is refused as an argument.
        Ok(Err(status)) if is_not_found(&status) || status.code() == Code::InvalidArgument => Ok(false),
        Ok(Err(status)) => Err(unreachable(&status)),
        Err(_) => Err(SetupError::Unreachable("it does not answer in time".to_owned())),
    }
}

/// The id of the store's newest model, where that is the built-in one; else of the built-in one,
/// which is written then.
async fn current_or_new_model(client: &mut Client, store: &str) -> Result<String, SetupError> {
    let built_in = built_in()?;
    let request = ReadAuthorizationModelsRequest {
        store_id: store.to_owned(),
        page_size: Some(1),
        continuation_token: String::new(),
    };
    let newest = in_time(client.read_authorization_models(request)).await?.authorization_models.into_iter().next();
    if let Some(newest) = newest
        && same_model(&newest, &built_in)
    {
        return Ok(newest.id);
    }
    let request = WriteAuthorizationModelRequest {
        store_id: store.to_owned(),
        type_definitions: built_in.type_definitions,
        schema_version: built_in.schema_version,
        conditions: built_in.conditions,
    };
    Ok(in_time(client.write_authorization_model(request)).await?.authorization_model_id)
}

/// Whether two models decide alike: the order of their types and what they say of their source
/// files do not matter.
fn same_model(one: &AuthorizationModel, other: &AuthorizationModel) -> bool {
    let types = |model: &AuthorizationModel| -> BTreeMap<String, TypeDefinition> {
        model.type_definitions.iter().map(|of| (of.r#type.clone(), of.clone())).collect()
    };
    let (ours, theirs) = (types(one), types(other));
    one.schema_version == other.schema_version
        && one.conditions == other.conditions
        && one.type_definitions.len() == other.type_definitions.len()
        && ours.len() == one.type_definitions.len()
        && ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|((name, one), (of, other))| {
            name == of && one.relations == other.relations && restrictions(one) == restrictions(other)
        })
}

/// Which subjects each relation takes; a relation that takes none is left out.
fn restrictions(of: &TypeDefinition) -> HashMap<&str, &[RelationReference]> {
    let relations = of.metadata.iter().flat_map(|metadata| &metadata.relations);
    relations
        .map(|(name, relation)| (name.as_str(), relation.directly_related_user_types.as_slice()))
        .filter(|(_, types)| !types.is_empty())
        .collect()
}

async fn in_time<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, SetupError> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(unreachable(&status)),
        Err(_) => Err(SetupError::Unreachable("it does not answer in time".to_owned())),
    }
}

/// OpenFGA has codes of its own above gRPC's; 2,001 is a model that is not there, 5,002 a store.
fn is_not_found(status: &Status) -> bool {
    status.code() == Code::NotFound || status.message().contains("not found")
}

fn unreachable(status: &Status) -> SetupError {
    SetupError::Unreachable(format!("{:?}", status.code()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_compared_by_what_they_decide() {
        let model = built_in().unwrap();
        let mut reordered = AuthorizationModel { id: "01J".to_owned(), ..model.clone() };
        reordered.type_definitions.reverse();
        for of in &mut reordered.type_definitions {
            if let Some(metadata) = &mut of.metadata {
                metadata.module = "m".to_owned();
            }
        }
        assert!(same_model(&reordered, &model));

        let mut wider = model.clone();
        let project = wider.type_definitions.iter_mut().find(|of| of.r#type == "project").unwrap();
        let everybody = project.relations["can_list"].clone();
        assert!(project.relations.insert("can_write".to_owned(), everybody).is_some());
        assert!(!same_model(&wider, &model), "another rule");

        let mut looser = model.clone();
        let project = looser.type_definitions.iter_mut().find(|of| of.r#type == "project").unwrap();
        let relations = &mut project.metadata.as_mut().unwrap().relations;
        let types = &mut relations.get_mut("accountable").unwrap().directly_related_user_types;
        types.push(RelationReference { r#type: "service".to_owned(), ..RelationReference::default() });
        assert!(!same_model(&looser, &model), "another type of subject");

        let mut fewer = model.clone();
        fewer.type_definitions.pop();
        assert!(!same_model(&fewer, &model));
        let mut twice = model.clone();
        twice.type_definitions.push(twice.type_definitions[0].clone());
        assert!(!same_model(&twice, &model), "a type is defined twice");
    }
}
