//! `exec --dry-run`.

use crate::agent::resolve::{Preview, Previewed, require};
use crate::agent::{AgentFailure, Result};
use crate::command::{Untrusted, print as print_text};
use crate::domain::SecretOutcome;

const HEAD: [&str; 4] = ["VARIABLE", "OUTCOME", "SOURCE", "EXPIRES"];

/// Prints a table of what the command would get, without values. Fails as the command would.
/// `variables` gives the variables that a secret becomes.
pub fn print(preview: &Preview, asked: &[String], variables: impl Fn(&str) -> Vec<String>) -> Result {
    let row_of = |secret| move |variable| row(secret, variable);
    let rows = preview.secrets.iter().flat_map(|secret| variables(&secret.name).into_iter().map(row_of(secret)));
    let rows: Vec<_> = std::iter::once(HEAD.map(str::to_owned)).chain(rows).collect();
    print_text(&table(&rows))?;
    if !preview.blocked_by.is_empty() {
        let reasons: Vec<String> = preview.blocked_by.iter().map(ToString::to_string).collect();
        let refused = format!("the agent would be refused: {}", reasons.join(", "));
        return Err(AgentFailure::Refused(refused));
    }
    let outcome =
        |name: &String| preview.secrets.iter().find(|secret| secret.name == *name).map(|secret| secret.outcome);
    require(asked.iter().map(|name| (name.clone(), outcome(name).unwrap_or(SecretOutcome::NotFound))))?;
    Ok(())
}

fn row(secret: &Previewed, variable: String) -> [String; 4] {
    let source = match (secret.outcome, secret.scope.as_ref().map(Untrusted::as_received)) {
        (SecretOutcome::ProvidedByWorkspace, _) => "environment",
        (_, Some("PROJECT")) => "project",
        (_, Some("MILESTONE")) => "milestone",
        _ => "-",
    };
    let expires = match (&secret.expires_at, secret.outcome) {
        (Some(expires), _) => expires.to_string(),
        (None, SecretOutcome::Resolved) => "never".to_owned(),
        (None, _) => "-".to_owned(),
    };
    [variable, secret.outcome.as_str().to_owned(), source.to_owned(), expires]
}

fn table(rows: &[[String; 4]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 4]| {
        let [first, second, third, last] = row;
        let [one, two, three] = widths;
        format!("{first:one$}  {second:two$}  {third:three$}  {last}\n")
    };
    rows.iter().map(line).collect()
}
