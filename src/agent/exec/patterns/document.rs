//! The secrets in a value that is a JSON document, such as the key file of a service account: tools
//! take them out and show them alone (`jq -r .private_key`).
//!
//! A document also holds what is no secret and stands in other output: `"type":
//! "service_account"`, the name of a project, the address of a token's issuer. So a string counts
//! as a secret only by its name or its looks.

use super::is_long;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use zeroize::Zeroizing;

/// Maximum number of secrets that are taken from one document.
const MAX_SECRETS: usize = 256;
/// How many documents can stand in each other, as strings.
const MAX_NESTING: usize = 2;
/// How long a run of letters and digits has to be that looks like a secret.
const MIN_RUN: usize = 16;
/// The ends of names that secrets have. A mere `key` is often that of a pair, so it is not here.
const NAMES: [&str; 7] = ["secret", "password", "passwd", "passphrase", "pwd", "token", "credential"];

/// The strings of a document that are secrets, and whether these are all. None of a text that is no
/// document.
pub fn secrets(text: &str) -> (Vec<Zeroizing<String>>, bool) {
    let mut found = Found { secrets: Vec::new(), are_all: true };
    found.read(text, MAX_NESTING);
    (found.secrets, found.are_all)
}

struct Found {
    secrets: Vec<Zeroizing<String>>,
    are_all: bool,
}

impl Found {
    fn read(&mut self, text: &str, nesting: usize) {
        let text = text.trim();
        if nesting == 0 || !text.starts_with(['{', '[', '"']) {
            return;
        }
        let before = self.secrets.len();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        // The string that a document consists of is the value itself.
        let walk = Walk { found: self, is_named: text.starts_with('"'), nesting };
        // The parser bounds the depth.
        if walk.deserialize(&mut deserializer).and_then(|()| deserializer.end()).is_err() {
            self.secrets.truncate(before);
        }
    }

    fn add(&mut self, text: &str, is_named: bool, nesting: usize) {
        if is_long(text) && (is_named || looks_secret(text)) {
            if self.secrets.len() >= MAX_SECRETS {
                self.are_all = false;
                return;
            }
            self.secrets.push(Zeroizing::new(text.to_owned()));
        }
        self.read(text, nesting - 1);
    }
}

/// A value of a document, to be searched.
struct Walk<'a> {
    found: &'a mut Found,
    /// Whether its name, or the name of the list it is in, is a secret's.
    is_named: bool,
    nesting: usize,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.found.add(text, self.is_named, self.nesting);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { found, is_named, nesting } = self;
        while list.next_element_seed(Walk { found: &mut *found, is_named, nesting })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let Self { found, nesting, .. } = self;
        while let Some(name) = object.next_key::<String>()? {
            object.next_value_seed(Walk { found: &mut *found, is_named: names_secret(&name), nesting })?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Whether a name ends as those of secrets do: `client_secret`, `secretAccessKey`, `tokens`.
fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix('s').unwrap_or(&name);
    NAMES.iter().any(|end| name.ends_with(end)) || (name.ends_with("key") && name.len() > "key".len())
}

/// Whether a text has a long run of both letters and digits, is a private key, or a URL with a
/// password.
fn looks_secret(text: &str) -> bool {
    let is_random = |run: &str| {
        run.len() >= MIN_RUN
            && run.bytes().any(|byte| byte.is_ascii_digit())
            && run.bytes().any(|byte| byte.is_ascii_alphabetic())
    };
    let has_password = || {
        let (_, rest) = text.split_once("://")?;
        let (user, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
        user.split_once(':')
    };
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_random)
        || text.contains("PRIVATE KEY-----")
        || has_password().is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(document: &str) -> Vec<String> {
        secrets(document).0.iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn of_a_service_account_the_key_and_nothing_public_is_taken() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n";
        let account = json!({
            "type": "service_account",
            "project_id": "my-project-123456",
            "private_key_id": "0f4c5e8b9a7d6c3b2a190f8e7d6c5b4a39281706",
            "private_key": key,
            "client_email": "deployer@my-project-123456.iam.gserviceaccount.com",
            "client_id": "104857600123456789012",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "auth_provider_x509_cert_url": "https://www.googleapis.com/oauth2/v1/certs",
            "universe_domain": "googleapis.com",
        });
        let mut found = found(&account.to_string());
        found.sort_unstable();
        assert_eq!(found, [key, "0f4c5e8b9a7d6c3b2a190f8e7d6c5b4a39281706"]);
    }

    #[test]
    fn names_and_looks_tell_a_secret() {
        let document = json!({
            "user": "somebody", "key": "environment", "token_type": "Bearer", "region": "eu-central-1",
            "tenantId": "8f14e45f-ceea-467f-a8f0-1b2c3d4e5f60",
            "db": { "url": "postgres://app:hunter2@db/app", "home": "https://me@example.com:8080/x" },
            "password": "12345", "dbPassword": "hunter-two", "AccountKey": "a+b/c=d", "tokens": ["first1", "second"],
            "other": ["gh7Qm2xVt9Lw4Zr8Kd", "aVeryLongWordWithoutDigits"],
            "nested": "{\"client_secret\": \"in-a-string\"}",
        });
        let mut found = found(&document.to_string());
        found.sort_unstable();
        let expected = [
            "a+b/c=d",
            "first1",
            "gh7Qm2xVt9Lw4Zr8Kd",
            "hunter-two",
            "in-a-string",
            "postgres://app:hunter2@db/app",
            "second",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_document_has_none_and_the_number_is_bounded() {
        for text in
            ["", "{", "{\"password\": \"hunter-two\"", "{\"password\": \"hunter-two\"} more", "hunter-two", "[1]"]
        {
            assert!(found(text).is_empty(), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(found(&deep).is_empty());
        let many: Vec<String> = (0..MAX_SECRETS + 5).map(|n| format!("s3cr3ts3cr3ts3cr3t{n}")).collect();
        let (secrets, are_all) = secrets(&json!(many).to_string());
        assert!(secrets.len() == MAX_SECRETS && !are_all);
        let within = |inner: &str| json!({ "a": inner }).to_string();
        let document = "{\"password\": \"hunter-two\"}";
        assert_eq!(found(&within(document)), ["hunter-two"]);
        assert!(found(&within(&within(document))).is_empty());
    }
}
