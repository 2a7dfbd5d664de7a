DROP TRIGGER exposures ON audit_events;
DROP FUNCTION count_exposures();
DROP TABLE exposures;
