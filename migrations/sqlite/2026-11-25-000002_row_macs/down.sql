DROP TABLE replaced_data_keys;
ALTER TABLE data_keys DROP COLUMN mac;
ALTER TABLE installation DROP COLUMN mac;
