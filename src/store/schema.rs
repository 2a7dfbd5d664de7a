//! The tables that `migrations/` creates, compiled once for each backend. Only the type of the
//! vault's own ids differs.

#![allow(clippy::wildcard_imports, reason = "diesel's tables name their types so")]

mod types {
    pub use super::super::backend::IdSql as Id;
    pub use diesel::sql_types::*;
}

diesel::table! {
    use super::types::*;
    installation (name) { name -> Text, value -> Text, mac -> Nullable<Binary>, }
}
diesel::table! {
    use super::types::*;
    projects (id) {
        id -> Text,
        status -> Text,
        registered_at -> BigInt,
        environment_names -> Text,
        approved_names -> Text,
        revision -> BigInt,
        mac -> Nullable<Binary>,
        listing -> Nullable<Binary>,
    }
}
diesel::table! {
    use super::types::*;
    deleted_projects (id) { id -> Text, deleted_at -> BigInt, receipt -> Nullable<Text>, }
}
diesel::table! {
    use super::types::*;
    milestones (id) {
        id -> Text,
        project_id -> Text,
        opens_at -> Nullable<BigInt>,
        closes_at -> Nullable<BigInt>,
        closed -> Bool,
        revision -> BigInt,
        mac -> Nullable<Binary>,
    }
}
diesel::table! {
    use super::types::*;
    data_keys (id) {
        id -> Id,
        project_id -> Text,
        master_key -> Text,
        wrapped -> Binary,
        encrypting -> Bool,
        sealed -> BigInt,
        outgoing -> Bool,
        created_at -> BigInt,
        mac -> Nullable<Binary>,
    }
}
diesel::table! {
    use super::types::*;
    replaced_data_keys (id) { id -> Id, project_id -> Text, replaced_at -> BigInt, mac -> Binary, }
}
diesel::table! {
    use super::types::*;
    entries (id) {
        id -> Id,
        project_id -> Text,
        milestone_id -> Nullable<Text>,
        name -> Text,
        description -> Nullable<Text>,
        category -> Text,
        expires_at -> Nullable<BigInt>,
        disabled -> Bool,
        deleted_at -> Nullable<BigInt>,
        current_version -> Integer,
        revision -> Integer,
        rotation_interval_days -> Nullable<Integer>,
        created_at -> BigInt,
        created_by -> Text,
        updated_at -> BigInt,
        updated_by -> Text,
        data_key_id -> Id,
        mac -> Binary,
    }
}
diesel::table! {
    use super::types::*;
    ciphertexts (entry_id, version) {
        entry_id -> Id,
        version -> Integer,
        data_key_id -> Id,
        value -> Binary,
        hint -> Binary,
    }
}
diesel::table! {
    use super::types::*;
    versions (entry_id, version) {
        entry_id -> Id,
        version -> Integer,
        ciphertext_version -> Integer,
        restored_from -> Nullable<Integer>,
        not_after -> Nullable<BigInt>,
        created_at -> BigInt,
        created_by -> Text,
        mac -> Binary,
    }
}
diesel::table! {
    use super::types::*;
    entry_usage (entry_id) { entry_id -> Id, resolve_count -> BigInt, last_resolved_at -> Nullable<BigInt>, }
}
diesel::table! {
    use super::types::*;
    exposures (entry_id, version, agent_id) {
        entry_id -> Id,
        version -> Integer,
        agent_id -> Text,
        first_at -> BigInt,
        last_at -> BigInt,
        received -> BigInt,
    }
}
/// Declares a table with the columns of an event.
macro_rules! events_table {
    ($table:ident) => {
        diesel::table! {
            use super::types::*;
            $table (occurred_at, id) {
                id -> Id,
                occurred_at -> BigInt,
                project_id -> Nullable<Text>,
                action -> Text,
                outcome -> Text,
                reason -> Nullable<Text>,
                count -> BigInt,
                actor -> Text,
                subject -> Nullable<Text>,
                role -> Nullable<Text>,
                agent_id -> Nullable<Text>,
                entry_id -> Nullable<Id>,
                entry_name -> Nullable<Text>,
                entry_version -> Nullable<Integer>,
                entry_revision -> Nullable<Integer>,
                milestone_id -> Nullable<Text>,
                purpose -> Nullable<Text>,
                session_id -> Nullable<Text>,
                tool -> Nullable<Text>,
                request_id -> Text,
                chain_id -> Id,
                seq -> BigInt,
                prev -> Binary,
                mac -> Binary,
            }
        }
    };
}
events_table!(audit_events);
events_table!(audit_decoys);
diesel::table! {
    use super::types::*;
    audit_chains (id) {
        id -> Id,
        opened_at -> BigInt,
        anchor_chain -> Nullable<Id>,
        anchor_seq -> Nullable<BigInt>,
        anchor_mac -> Nullable<Binary>,
        released -> Bool,
        cut_seq -> BigInt,
        cut_event_mac -> Nullable<Binary>,
        cut_mac -> Nullable<Binary>,
        lease_until -> Nullable<BigInt>,
    }
}
diesel::table! {
    use super::types::*;
    audit_heads (seq) { seq -> BigInt, signed_at -> BigInt, statement -> Text, }
}
diesel::table! {
    use super::types::*;
    installation_keys (purpose) { purpose -> Text, master_key -> Text, wrapped -> Binary, created_at -> BigInt, }
}
diesel::table! {
    use super::types::*;
    outbox (seq) {
        seq -> BigInt,
        lane -> Text,
        change -> Text,
        mac -> Binary,
        created_at -> BigInt,
        set_aside_at -> Nullable<BigInt>,
        set_aside_reason -> Nullable<Text>,
    }
}
diesel::table! {
    use super::types::*;
    notices (id) {
        id -> Text,
        kind -> Text,
        subject -> Text,
        due_at -> BigInt,
        threshold_days -> Integer,
        count -> BigInt,
        created_at -> BigInt,
        attempts -> Integer,
        next_attempt_at -> Nullable<BigInt>,
    }
}
diesel::table! {
    use super::types::*;
    tuples (object, relation, subject) { object -> Text, relation -> Text, subject -> Text, }
}

diesel::allow_tables_to_appear_in_same_query!(
    audit_chains,
    audit_events,
    projects,
    milestones,
    data_keys,
    replaced_data_keys,
    entries,
    ciphertexts,
    versions,
    entry_usage,
    exposures,
);
