-- Rows that decide what the vault trusts carry a MAC under the installation's key. A migration does
-- not have that key: `project-vault migrate` signs the existing rows right after it, and rows
-- without a MAC are refused from then on.
ALTER TABLE installation ADD COLUMN mac BLOB;
ALTER TABLE data_keys ADD COLUMN mac BLOB;

-- Data keys that were replaced and erased. A key that is put back is never opened again.
CREATE TABLE replaced_data_keys (
    id BLOB PRIMARY KEY,
    project_id TEXT NOT NULL REFERENCES projects (id),
    replaced_at BIGINT NOT NULL,
    mac BLOB NOT NULL
);
CREATE INDEX replaced_data_keys_project ON replaced_data_keys (project_id);
