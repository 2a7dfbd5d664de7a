DROP TRIGGER generation ON projects;
CREATE TRIGGER generation BEFORE UPDATE OF status, environment_names, approved_names ON projects
    FOR EACH ROW EXECUTE FUNCTION project_changed();
ALTER TABLE milestones DROP COLUMN mac;
ALTER TABLE milestones DROP COLUMN revision;
ALTER TABLE projects DROP COLUMN listing;
ALTER TABLE projects DROP COLUMN mac;
ALTER TABLE projects DROP COLUMN revision;
