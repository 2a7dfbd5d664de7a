-- Which entry names reach sessions: ANY, or those with certain endings and approved ones. Approved
-- names have a space before each and after the last one; '' without any.
ALTER TABLE projects
    ADD COLUMN environment_names TEXT COLLATE "C" NOT NULL DEFAULT 'ANY' CHECK (environment_names IN ('ANY', 'SUFFIXED')),
    ADD COLUMN approved_names TEXT COLLATE "C" NOT NULL DEFAULT '';
