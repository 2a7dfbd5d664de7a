-- Decoys: rows written instead of an event when the requested object does not exist, so that this
-- denial costs the same as that of an object the caller may not see. The columns and indexes are
-- those of audit_events. Nothing reads the rows; they are erased within seconds.
CREATE TABLE audit_decoys (
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
    entry_revision INTEGER,
    milestone_id TEXT COLLATE "C",
    purpose TEXT COLLATE "C",
    session_id TEXT COLLATE "C",
    tool TEXT COLLATE "C",
    request_id TEXT COLLATE "C" NOT NULL,
    chain_id UUID NOT NULL REFERENCES audit_chains (id),
    seq BIGINT NOT NULL CHECK (seq >= 1),
    prev BYTEA NOT NULL,
    mac BYTEA NOT NULL
);
-- Not unique: a decoy has the position that the next event of its chain will have.
CREATE INDEX audit_decoys_seq ON audit_decoys (chain_id, seq);
CREATE INDEX audit_decoys_time ON audit_decoys (occurred_at, id);
CREATE INDEX audit_decoys_project ON audit_decoys (project_id, occurred_at, id);
CREATE INDEX audit_decoys_change ON audit_decoys (entry_id, entry_revision) WHERE entry_revision IS NOT NULL;
CREATE INDEX audit_decoys_entry ON audit_decoys (entry_id, occurred_at, id) WHERE entry_id IS NOT NULL;

-- The previous form of decoys.
DELETE FROM installation WHERE name LIKE 'nothing.%';
