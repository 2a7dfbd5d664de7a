-- Which agents received which version of an entry, when first and last, and how often: what the
-- access records say, kept as they are inserted, whichever release inserts them. A row goes with its
-- version.
CREATE TABLE exposures (
    entry_id BLOB NOT NULL,
    version INTEGER NOT NULL,
    agent_id TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    received BIGINT NOT NULL,
    PRIMARY KEY (entry_id, version, agent_id),
    FOREIGN KEY (entry_id, version) REFERENCES versions (entry_id, version) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO exposures
SELECT audit_events.entry_id, audit_events.entry_version, audit_events.agent_id, min(audit_events.occurred_at),
    max(audit_events.occurred_at), sum(audit_events.count)
FROM audit_events
JOIN versions ON versions.entry_id = audit_events.entry_id AND versions.version = audit_events.entry_version
WHERE audit_events.action = 'SECRET_RESOLVED' AND audit_events.outcome = 'ALLOWED' AND audit_events.agent_id IS NOT NULL
GROUP BY audit_events.entry_id, audit_events.entry_version, audit_events.agent_id;
CREATE TRIGGER audit_events_exposure AFTER INSERT ON audit_events
WHEN NEW.action = 'SECRET_RESOLVED' AND NEW.outcome = 'ALLOWED' AND NEW.agent_id IS NOT NULL BEGIN
    INSERT INTO exposures
    SELECT entry_id, version, NEW.agent_id, NEW.occurred_at, NEW.occurred_at, NEW.count
    FROM versions WHERE entry_id = NEW.entry_id AND version = NEW.entry_version
    ON CONFLICT (entry_id, version, agent_id) DO UPDATE SET
        first_at = min(first_at, excluded.first_at),
        last_at = max(last_at, excluded.last_at),
        received = received + excluded.received;
END;
