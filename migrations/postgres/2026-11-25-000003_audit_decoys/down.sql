DROP TABLE audit_decoys;
