-- Projects and milestones carry a MAC under the installation's key. A migration does not have that
-- key: `project-vault migrate` signs the existing rows right after it, once.
ALTER TABLE projects ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN mac BLOB;
-- Every entry of the project that is not deleted, by scope and name, with its revision; covered by
-- the MAC. The last column, since it is long and few statements read it.
ALTER TABLE projects ADD COLUMN listing BLOB;

-- The revision that the project's row had after the milestone's newest change.
ALTER TABLE milestones ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
ALTER TABLE milestones ADD COLUMN mac BLOB;
