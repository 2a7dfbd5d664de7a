//! Hidden and missing things, told apart by the time that an answer takes.
