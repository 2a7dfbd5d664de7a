//! Rows of the database that were changed, removed or put back by hand.
