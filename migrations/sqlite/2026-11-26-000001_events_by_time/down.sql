CREATE TABLE by_id (
    id BLOB PRIMARY KEY,
    occurred_at BIGINT NOT NULL,
    project_id TEXT,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    count BIGINT NOT NULL,
    actor TEXT NOT NULL,
    subject TEXT,
    role TEXT,
    agent_id TEXT,
    entry_id BLOB,
    entry_name TEXT,
    entry_version INTEGER,
    -- The entry's revision after a change, which reveals an old row that was put back.
    entry_revision INTEGER,
    milestone_id TEXT,
    purpose TEXT,
    session_id TEXT,
    tool TEXT,
    request_id TEXT NOT NULL,
    chain_id BLOB NOT NULL REFERENCES audit_chains (id),
    -- Its position in the chain, from 1.
    seq BIGINT NOT NULL CHECK (seq >= 1),
    -- The MAC of the event before it; for the first event, that of the chain's beginning.
    prev BLOB NOT NULL,
    mac BLOB NOT NULL,
    UNIQUE (chain_id, seq)
);
INSERT INTO by_id SELECT * FROM audit_events ORDER BY occurred_at, id;
DROP TABLE audit_events;
ALTER TABLE by_id RENAME TO audit_events;
CREATE INDEX audit_events_time ON audit_events (occurred_at, id);
CREATE INDEX audit_events_project ON audit_events (project_id, occurred_at, id);
CREATE INDEX audit_events_change ON audit_events (entry_id, entry_revision) WHERE entry_revision IS NOT NULL;
CREATE INDEX audit_events_entry ON audit_events (entry_id, occurred_at, id) WHERE entry_id IS NOT NULL;

DROP TABLE audit_decoys;
CREATE TABLE audit_decoys (
    id BLOB PRIMARY KEY,
    occurred_at BIGINT NOT NULL,
    project_id TEXT,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    count BIGINT NOT NULL,
    actor TEXT NOT NULL,
    subject TEXT,
    role TEXT,
    agent_id TEXT,
    entry_id BLOB,
    entry_name TEXT,
    entry_version INTEGER,
    entry_revision INTEGER,
    milestone_id TEXT,
    purpose TEXT,
    session_id TEXT,
    tool TEXT,
    request_id TEXT NOT NULL,
    chain_id BLOB NOT NULL REFERENCES audit_chains (id),
    seq BIGINT NOT NULL CHECK (seq >= 1),
    prev BLOB NOT NULL,
    mac BLOB NOT NULL
);
CREATE INDEX audit_decoys_seq ON audit_decoys (chain_id, seq);
CREATE INDEX audit_decoys_time ON audit_decoys (occurred_at, id);
CREATE INDEX audit_decoys_project ON audit_decoys (project_id, occurred_at, id);
CREATE INDEX audit_decoys_change ON audit_decoys (entry_id, entry_revision) WHERE entry_revision IS NOT NULL;
CREATE INDEX audit_decoys_entry ON audit_decoys (entry_id, occurred_at, id) WHERE entry_id IS NOT NULL;
