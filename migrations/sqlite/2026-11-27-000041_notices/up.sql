-- Notices: what people are told about, and the outbox it is delivered from. Ids and instants alone:
-- a message is made from the entry when it is sent.
CREATE TABLE notices (
    -- The id that the receiver sees.
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('entry.expiring', 'entry.rotation_due', 'accesses.refused')),
    -- The entry's id, or the caller that was refused.
    subject TEXT NOT NULL,
    -- When the entry expires or is due for rotation, or the hour of the refusals.
    due_at BIGINT NOT NULL,
    -- How many days before that; 0 for refusals.
    threshold_days INTEGER NOT NULL,
    -- The number of refusals.
    count BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- How often it was sent, or tried to be.
    attempts INTEGER NOT NULL,
    -- NULL when it was delivered or given up. The row stays, so that there is no second one.
    next_attempt_at BIGINT,
    UNIQUE (kind, subject, due_at, threshold_days)
);
CREATE INDEX notices_waiting ON notices (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX notices_created ON notices (created_at);
-- For the entries with a rotation interval, over all projects.
CREATE INDEX entries_rotated ON entries (id) WHERE rotation_interval_days IS NOT NULL;
-- For the denials of the last hour.
CREATE INDEX audit_events_denied ON audit_events (occurred_at) WHERE outcome = 'DENIED';
