-- A project's generation changes with everything of it that decides what a caller receives. A server
-- keeps rows in memory while it stays as it is; triggers also see what is changed by hand. It is
-- random, so that it never comes back, not even after a backup was restored.
ALTER TABLE projects ADD COLUMN generation UUID NOT NULL DEFAULT gen_random_uuid();

-- Once per transaction. The row is locked already by whoever changes something of its project.
CREATE FUNCTION renew_generation(changed TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    IF changed IS NULL OR current_setting('vault.renewed', TRUE) IS NOT DISTINCT FROM changed THEN
        RETURN;
    END IF;
    UPDATE projects SET generation = gen_random_uuid() WHERE id = changed;
    PERFORM set_config('vault.renewed', changed, TRUE);
END $$;

CREATE FUNCTION project_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    NEW.generation = gen_random_uuid();
    RETURN NEW;
END $$;
CREATE TRIGGER generation BEFORE UPDATE OF status, environment_names, approved_names ON projects
    FOR EACH ROW EXECUTE FUNCTION project_changed();

CREATE FUNCTION row_of_project_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM renew_generation(OLD.project_id);
    PERFORM renew_generation(NEW.project_id);
    RETURN NULL;
END $$;
CREATE TRIGGER generation AFTER INSERT OR UPDATE OR DELETE ON milestones
    FOR EACH ROW EXECUTE FUNCTION row_of_project_changed();
CREATE TRIGGER generation AFTER INSERT OR UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION row_of_project_changed();
CREATE TRIGGER generation AFTER INSERT OR UPDATE OR DELETE ON replaced_data_keys
    FOR EACH ROW EXECUTE FUNCTION row_of_project_changed();
-- Not the number of values that a key has sealed.
CREATE TRIGGER generation AFTER DELETE OR UPDATE OF project_id, master_key, wrapped, encrypting, outgoing, mac ON data_keys
    FOR EACH ROW EXECUTE FUNCTION row_of_project_changed();

-- Adding one needs no trigger, because its entry changes with it.
CREATE FUNCTION row_of_entry_changed() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM renew_generation(project_id) FROM entries WHERE id IN (OLD.entry_id, NEW.entry_id);
    RETURN NULL;
END $$;
CREATE TRIGGER generation AFTER UPDATE OR DELETE ON versions
    FOR EACH ROW EXECUTE FUNCTION row_of_entry_changed();
CREATE TRIGGER generation AFTER UPDATE OR DELETE ON ciphertexts
    FOR EACH ROW EXECUTE FUNCTION row_of_entry_changed();
CREATE TRIGGER generation_update AFTER UPDATE ON audit_events
    FOR EACH ROW WHEN (OLD.entry_revision IS NOT NULL OR NEW.entry_revision IS NOT NULL)
    EXECUTE FUNCTION row_of_entry_changed();

-- Retention erases the events of older changes, which decide nothing.
CREATE FUNCTION newest_change_erased() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM renew_generation(project_id) FROM entries WHERE id = OLD.entry_id AND revision <= OLD.entry_revision;
    RETURN NULL;
END $$;
CREATE TRIGGER generation_delete AFTER DELETE ON audit_events
    FOR EACH ROW WHEN (OLD.entry_revision IS NOT NULL)
    EXECUTE FUNCTION newest_change_erased();
