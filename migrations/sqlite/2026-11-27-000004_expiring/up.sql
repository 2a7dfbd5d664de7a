-- For the entries that expire next, over all projects.
CREATE INDEX entries_expiring ON entries (expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;
