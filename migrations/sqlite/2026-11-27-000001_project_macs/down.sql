ALTER TABLE milestones DROP COLUMN mac;
ALTER TABLE milestones DROP COLUMN revision;
ALTER TABLE projects DROP COLUMN listing;
ALTER TABLE projects DROP COLUMN mac;
ALTER TABLE projects DROP COLUMN revision;
