//! Names of entries that would run code in somebody else's session.
