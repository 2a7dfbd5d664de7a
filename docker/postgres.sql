-- OpenFGA keeps its tuples beside the vault's tables, in a database of its own.
CREATE DATABASE openfga;
