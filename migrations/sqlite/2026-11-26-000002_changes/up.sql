-- Counts the changes of everything that decides what a caller receives. A server keeps such rows in
-- memory while the count stays as it is; triggers count what other processes change as well.
CREATE TABLE changes (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    count BIGINT NOT NULL
);
INSERT INTO changes VALUES (1, 0);
CREATE TRIGGER projects_insert AFTER INSERT ON projects BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER projects_update AFTER UPDATE ON projects BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER projects_delete AFTER DELETE ON projects BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER milestones_insert AFTER INSERT ON milestones BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER milestones_update AFTER UPDATE ON milestones BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER milestones_delete AFTER DELETE ON milestones BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER entries_insert AFTER INSERT ON entries BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER entries_update AFTER UPDATE ON entries BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER entries_delete AFTER DELETE ON entries BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER versions_insert AFTER INSERT ON versions BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER versions_update AFTER UPDATE ON versions BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER versions_delete AFTER DELETE ON versions BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER ciphertexts_insert AFTER INSERT ON ciphertexts BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER ciphertexts_update AFTER UPDATE ON ciphertexts BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER ciphertexts_delete AFTER DELETE ON ciphertexts BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER data_keys_insert AFTER INSERT ON data_keys BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER data_keys_update AFTER UPDATE ON data_keys BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER data_keys_delete AFTER DELETE ON data_keys BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER replaced_data_keys_insert AFTER INSERT ON replaced_data_keys BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER replaced_data_keys_update AFTER UPDATE ON replaced_data_keys BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER replaced_data_keys_delete AFTER DELETE ON replaced_data_keys BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER tuples_insert AFTER INSERT ON tuples BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER tuples_update AFTER UPDATE ON tuples BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER tuples_delete AFTER DELETE ON tuples BEGIN UPDATE changes SET count = count + 1; END;
-- Of events, those of entries' changes: the events of resolves decide nothing. Adding one needs no
-- trigger, because its entry changes with it.
CREATE TRIGGER audit_events_update AFTER UPDATE ON audit_events WHEN NEW.entry_revision IS NOT NULL OR OLD.entry_revision IS NOT NULL BEGIN UPDATE changes SET count = count + 1; END;
CREATE TRIGGER audit_events_delete AFTER DELETE ON audit_events WHEN OLD.entry_revision IS NOT NULL BEGIN UPDATE changes SET count = count + 1; END;
