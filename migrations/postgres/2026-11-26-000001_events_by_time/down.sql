ALTER TABLE audit_events DROP CONSTRAINT audit_events_pkey;
ALTER TABLE audit_events ADD PRIMARY KEY (id);
CREATE INDEX audit_events_time ON audit_events (occurred_at, id);
ALTER TABLE audit_decoys DROP CONSTRAINT audit_decoys_pkey;
ALTER TABLE audit_decoys ADD PRIMARY KEY (id);
CREATE INDEX audit_decoys_time ON audit_decoys (occurred_at, id);
