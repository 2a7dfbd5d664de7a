DROP INDEX entries_expiring;
