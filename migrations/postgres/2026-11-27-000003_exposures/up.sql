-- Which agents received which version of an entry, when first and last, and how often: what the
-- access records say, kept as they are inserted, whichever release inserts them. A row goes with its
-- version.
CREATE TABLE exposures (
    entry_id UUID NOT NULL,
    version INTEGER NOT NULL,
    agent_id TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    received BIGINT NOT NULL,
    PRIMARY KEY (entry_id, version, agent_id),
    FOREIGN KEY (entry_id, version) REFERENCES versions (entry_id, version) ON DELETE CASCADE
);
INSERT INTO exposures
SELECT audit_events.entry_id, audit_events.entry_version, audit_events.agent_id, min(audit_events.occurred_at),
    max(audit_events.occurred_at), sum(audit_events.count)
FROM audit_events
JOIN versions ON versions.entry_id = audit_events.entry_id AND versions.version = audit_events.entry_version
WHERE audit_events.action = 'SECRET_RESOLVED' AND audit_events.outcome = 'ALLOWED' AND audit_events.agent_id IS NOT NULL
GROUP BY audit_events.entry_id, audit_events.entry_version, audit_events.agent_id;
-- Once for each statement, in the order of the keys, so that two servers never wait for each other.
CREATE FUNCTION count_exposures() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO exposures AS known (entry_id, version, agent_id, first_at, last_at, received)
    SELECT added.entry_id, added.entry_version, added.agent_id, added.first_at, added.last_at, added.received
    FROM (
        SELECT entry_id, entry_version, agent_id, min(occurred_at) AS first_at, max(occurred_at) AS last_at,
            sum(count)::bigint AS received
        FROM added_events
        WHERE action = 'SECRET_RESOLVED' AND outcome = 'ALLOWED' AND agent_id IS NOT NULL
        GROUP BY entry_id, entry_version, agent_id
    ) added
    JOIN versions ON versions.entry_id = added.entry_id AND versions.version = added.entry_version
    ORDER BY added.entry_id, added.entry_version, added.agent_id
    FOR KEY SHARE OF versions
    ON CONFLICT (entry_id, version, agent_id) DO UPDATE SET
        first_at = least(known.first_at, excluded.first_at),
        last_at = greatest(known.last_at, excluded.last_at),
        received = known.received + excluded.received;
    RETURN NULL;
END $$;
CREATE TRIGGER exposures AFTER INSERT ON audit_events REFERENCING NEW TABLE AS added_events
    FOR EACH STATEMENT EXECUTE FUNCTION count_exposures();
