DROP TRIGGER audit_events_exposure;
DROP TABLE exposures;
