DROP INDEX audit_events_denied;
DROP INDEX entries_rotated;
DROP TABLE notices;
