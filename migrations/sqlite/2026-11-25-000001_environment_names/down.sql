ALTER TABLE projects DROP COLUMN environment_names;
ALTER TABLE projects DROP COLUMN approved_names;
