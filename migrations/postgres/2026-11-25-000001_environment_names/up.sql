-- Which names of entries reach sessions: ANY, or those with certain endings and those approved.
-- Approved names stand with a blank before each and after the last one; '' without any.
ALTER TABLE projects
    ADD COLUMN environment_names TEXT COLLATE "C" NOT NULL DEFAULT 'ANY' CHECK (environment_names IN ('ANY', 'SUFFIXED')),
    ADD COLUMN approved_names TEXT COLLATE "C" NOT NULL DEFAULT '';
