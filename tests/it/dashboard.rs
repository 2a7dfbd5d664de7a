//! The dashboard and what the API has for it: the page, signing in, and the fields that dashboards
//! read.

mod filters;
mod import;
mod installation;
mod projects;
mod served;
