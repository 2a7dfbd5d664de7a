-- Rows that decide what the vault trusts carry a MAC under the installation's key. A migration does
-- not have that key: `project-vault migrate` signs the existing rows right after it, and rows
-- without a MAC are refused from then on.
ALTER TABLE installation ADD COLUMN mac BYTEA;
ALTER TABLE data_keys ADD COLUMN mac BYTEA;

-- Data keys that were replaced and erased. A key that is put back is never opened again.
CREATE TABLE replaced_data_keys (
    id UUID PRIMARY KEY,
    project_id TEXT COLLATE "C" NOT NULL REFERENCES projects (id),
    replaced_at BIGINT NOT NULL,
    mac BYTEA NOT NULL
);
CREATE INDEX replaced_data_keys_project ON replaced_data_keys (project_id);
