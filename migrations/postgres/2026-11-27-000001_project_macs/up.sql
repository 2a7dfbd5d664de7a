-- Projects and milestones carry a MAC under the installation's key. A migration does not have that
-- key: `project-vault migrate` signs the existing rows right after it, once.
ALTER TABLE projects
    ADD COLUMN revision BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN mac BYTEA,
    -- Every entry of the project that is not deleted, by scope and name, with its revision; covered
    -- by the MAC.
    ADD COLUMN listing BYTEA;

ALTER TABLE milestones
    -- The revision that the project's row had after the milestone's newest change.
    ADD COLUMN revision BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN mac BYTEA;

-- Whatever of a project's row the MAC covers decides what a caller receives.
DROP TRIGGER generation ON projects;
CREATE TRIGGER generation
    BEFORE UPDATE OF status, registered_at, environment_names, approved_names, revision, mac, listing ON projects
    FOR EACH ROW EXECUTE FUNCTION project_changed();
