-- Since when a change is set aside, because it cannot be applied, and why. An operator retries or
-- discards it.
ALTER TABLE outbox ADD COLUMN set_aside_at BIGINT;
ALTER TABLE outbox ADD COLUMN set_aside_reason TEXT;

-- Until when the process that appends to a chain has it for itself; NULL where a process of an
-- earlier release has it. A chain whose lease has passed is released for others.
ALTER TABLE audit_chains ADD COLUMN lease_until BIGINT;
-- Processes of the earlier release may run for a day; what died before is released then.
UPDATE audit_chains SET lease_until = unixepoch() * 1000 + 86400000 WHERE NOT released;
