-- A resolve writes an event for each value, and every index of the table is written with it. The
-- order by time is now the primary key: one index instead of two.
ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey;
ALTER TABLE audit_events ADD PRIMARY KEY (occurred_at, id);
DROP INDEX audit_events_time;
ALTER TABLE audit_decoys DROP CONSTRAINT audit_decoys_pkey;
ALTER TABLE audit_decoys ADD PRIMARY KEY (occurred_at, id);
DROP INDEX audit_decoys_time;
