ALTER TABLE projects DROP COLUMN environment_names, DROP COLUMN approved_names;
