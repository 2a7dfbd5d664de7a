ALTER TABLE outbox DROP COLUMN set_aside_at;
ALTER TABLE outbox DROP COLUMN set_aside_reason;
ALTER TABLE audit_chains DROP COLUMN lease_until;
