-- A decoy costs what a denial costs, so it has the index of denials, too. Nothing reads it.
CREATE INDEX audit_decoys_denied ON audit_decoys (occurred_at) WHERE outcome = 'DENIED';
