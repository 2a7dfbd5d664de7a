-- Instants are milliseconds since 1970. Ids of other systems are text compared by byte.

-- Settings that all servers of the installation share, such as the ids of the authorization store
-- and model.
CREATE TABLE installation (
    name TEXT COLLATE "C" PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

CREATE TABLE projects (
    id TEXT COLLATE "C" PRIMARY KEY,
    status TEXT COLLATE "C" NOT NULL CHECK (status IN ('PLANNING', 'ACTIVE', 'PAUSED', 'COMPLETED', 'CANCELLED')),
    registered_at BIGINT NOT NULL
);

-- Tombstones. An id is never registered twice, because tuples that outlived the project would apply
-- again.
CREATE TABLE deleted_projects (
    id TEXT COLLATE "C" PRIMARY KEY,
    deleted_at BIGINT NOT NULL,
    -- The signed receipt of what was erased; returned again when the deletion is repeated.
    receipt TEXT COLLATE "C"
);

CREATE TABLE milestones (
    id TEXT COLLATE "C" PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    opens_at BIGINT,
    closes_at BIGINT,
    -- Whether a person closed it; no server's clock reopens it then.
    closed BOOLEAN NOT NULL,
    UNIQUE (project_id, id),
    CHECK (opens_at IS NULL OR closes_at IS NULL OR opens_at <= closes_at)
);

CREATE TABLE data_keys (
    id UUID PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    -- The id of the master key that wraps it.
    master_key TEXT COLLATE "C" NOT NULL,
    wrapped BYTEA NOT NULL,
    -- Whether it encrypts what is written next.
    encrypting BOOLEAN NOT NULL,
    -- Upper bound of the number of values sealed with it; as many hints are sealed with another
    -- subkey.
    sealed BIGINT NOT NULL DEFAULT 0,
    -- Whether it is being replaced: entries are moved to the encrypting key, then it is erased.
    outgoing BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX data_keys_encrypting ON data_keys (project_id) WHERE encrypting;
CREATE INDEX data_keys_master_key ON data_keys (master_key);
CREATE INDEX data_keys_outgoing ON data_keys (project_id) WHERE outgoing;

-- The installation's own keys, wrapped by a master key: one for the chains of events, one that
-- signs receipts and heads.
CREATE TABLE installation_keys (
    purpose TEXT COLLATE "C" PRIMARY KEY CHECK (purpose IN ('AUDIT', 'SIGNING')),
    master_key TEXT COLLATE "C" NOT NULL,
    wrapped BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- An entry belongs to its milestone if it has one, else to the whole project. The scope is no
-- column, so it cannot contradict the milestone.
CREATE TABLE entries (
    id UUID PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    milestone_id TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C",
    category TEXT COLLATE "C" NOT NULL CHECK (category IN ('API_KEY', 'ACCESS_TOKEN', 'SECRET', 'CERTIFICATE', 'PASSWORD', 'WEBHOOK_SECRET', 'OTHER')),
    expires_at BIGINT,
    disabled BOOLEAN NOT NULL,
    deleted_at BIGINT,
    current_version INTEGER NOT NULL CHECK (current_version >= 1),
    revision INTEGER NOT NULL CHECK (revision >= 1),
    rotation_interval_days INTEGER CHECK (rotation_interval_days BETWEEN 1 AND 3650),
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT COLLATE "C" NOT NULL,
    -- The key of everything below this entry: its MAC, its versions' MACs and their ciphertexts.
    data_key_id UUID NOT NULL REFERENCES data_keys (id),
    mac BYTEA NOT NULL,
    FOREIGN KEY (project_id, milestone_id) REFERENCES milestones (project_id, id)
);
-- Names are unique among the entries of a scope that are not deleted.
CREATE UNIQUE INDEX entries_project_name ON entries (project_id, name) WHERE milestone_id IS NULL AND deleted_at IS NULL;
CREATE UNIQUE INDEX entries_milestone_name ON entries (project_id, milestone_id, name) WHERE milestone_id IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX entries_project ON entries (project_id);
-- For erasing data keys that nothing refers to any more.
CREATE INDEX entries_data_key ON entries (data_key_id);
CREATE INDEX entries_milestone ON entries (milestone_id) WHERE milestone_id IS NOT NULL;
CREATE INDEX entries_deleted ON entries (deleted_at) WHERE deleted_at IS NOT NULL;

-- A ciphertext is written once, for one version; a rollback refers to it from a later one.
CREATE TABLE ciphertexts (
    entry_id UUID NOT NULL REFERENCES entries (id),
    version INTEGER NOT NULL,
    data_key_id UUID NOT NULL REFERENCES data_keys (id),
    value BYTEA NOT NULL,
    hint BYTEA NOT NULL,
    PRIMARY KEY (entry_id, version)
);
CREATE INDEX ciphertexts_data_key ON ciphertexts (data_key_id);

CREATE TABLE versions (
    entry_id UUID NOT NULL,
    version INTEGER NOT NULL CHECK (version >= 1),
    -- The version its ciphertext was written for.
    ciphertext_version INTEGER NOT NULL,
    restored_from INTEGER,
    -- When a certificate expires, so that a rollback need not decrypt.
    not_after BIGINT,
    created_at BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    mac BYTEA NOT NULL,
    PRIMARY KEY (entry_id, version),
    FOREIGN KEY (entry_id, ciphertext_version) REFERENCES ciphertexts (entry_id, version)
);

-- Separate from entries, so that a resolve never rewrites a row that carries a MAC.
CREATE TABLE entry_usage (
    entry_id UUID PRIMARY KEY REFERENCES entries (id),
    resolve_count BIGINT NOT NULL,
    last_resolved_at BIGINT
);

-- Chains of events. One transaction at a time appends to a chain. A process claims released chains
-- and opens new ones.
CREATE TABLE audit_chains (
    id UUID PRIMARY KEY,
    opened_at BIGINT NOT NULL,
    -- Another chain's event that existed when this one began; the first event names both.
    anchor_chain UUID,
    anchor_seq BIGINT,
    anchor_mac BYTEA,
    -- Whether no process appends to it now.
    released BOOLEAN NOT NULL,
    -- Events up to this one are past their retention and erased; authenticated by cut_mac.
    cut_seq BIGINT NOT NULL,
    cut_event_mac BYTEA,
    cut_mac BYTEA,
    CHECK ((anchor_chain IS NULL) = (anchor_seq IS NULL) AND (anchor_chain IS NULL) = (anchor_mac IS NULL)),
    CHECK ((cut_seq = 0) = (cut_mac IS NULL) AND (cut_mac IS NULL) = (cut_event_mac IS NULL))
);

-- Signed heads: the last positions of the chains. Newest last.
CREATE TABLE audit_heads (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    signed_at BIGINT NOT NULL,
    statement TEXT COLLATE "C" NOT NULL
);

-- Events outlive their project and its entries, so they do not reference them.
CREATE TABLE audit_events (
    id UUID PRIMARY KEY,
    occurred_at BIGINT NOT NULL,
    project_id TEXT COLLATE "C",
    action TEXT COLLATE "C" NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    count BIGINT NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C",
    role TEXT COLLATE "C",
    agent_id TEXT COLLATE "C",
    entry_id UUID,
    entry_name TEXT COLLATE "C",
    entry_version INTEGER,
    -- The entry's revision after a change, which reveals an old row that was put back.
    entry_revision INTEGER,
    milestone_id TEXT COLLATE "C",
    purpose TEXT COLLATE "C",
    session_id TEXT COLLATE "C",
    tool TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL,
    chain_id UUID NOT NULL REFERENCES audit_chains (id),
    -- Its position in the chain, from 1.
    seq BIGINT NOT NULL CHECK (seq >= 1),
    -- The MAC of the event before it; for the first event, that of the chain's beginning.
    prev BYTEA NOT NULL,
    mac BYTEA NOT NULL,
    UNIQUE (chain_id, seq)
);
CREATE INDEX audit_events_time ON audit_events (occurred_at, id);
CREATE INDEX audit_events_project ON audit_events (project_id, occurred_at, id);
CREATE INDEX audit_events_change ON audit_events (entry_id, entry_revision) WHERE entry_revision IS NOT NULL;
CREATE INDEX audit_events_entry ON audit_events (entry_id, occurred_at, id) WHERE entry_id IS NOT NULL;

-- Changes of tuples that are committed and not yet known to be applied. Changes of one lane
-- (partition) are applied in order.
CREATE TABLE outbox (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lane TEXT COLLATE "C" NOT NULL,
    change TEXT COLLATE "C" NOT NULL,
    -- Only the vault can make it, so writing a row here grants nothing.
    mac BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX outbox_lane ON outbox (lane, seq);

-- The embedded authorizer's tuples, in OpenFGA's notation; empty where OpenFGA keeps them.
CREATE TABLE tuples (
    object TEXT COLLATE "C" NOT NULL,
    relation TEXT COLLATE "C" NOT NULL,
    -- Such as user:alice, or a userset such as team:owners#member.
    subject TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (object, relation, subject)
);
CREATE INDEX tuples_subject ON tuples (subject, relation, object);
