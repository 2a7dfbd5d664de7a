DROP INDEX audit_decoys_denied;
