//! Hostile keyrings, certificates and sealed values.

use super::sealing::{Recipient, RecipientKey, SealedCall, SealedPlace};
use super::{Keyring, read_certificate};
use crate::domain::canonical_pem;
use crate::fuzzing::fuzz;
use secrecy::{ExposeSecret as _, SecretString};

#[test]
fn fuzz_keyring() {
    fuzz("keyring", &[], |input| {
        let text = String::from_utf8_lossy(input);
        let ring = match Keyring::parse(&text) {
            Ok(ring) => ring,
            Err(error) => {
                assert!(error.to_string().len() < 1_000, "{error}");
                return false;
            }
        };
        let printed = ring.to_text();
        let same = Keyring::parse(printed.expose_secret()).unwrap();
        assert_eq!(same.current_id(), ring.current_id());
        assert!(same.ids().eq(ring.ids()) && ring.ids().any(|id| id == ring.current_id()));
        assert_eq!(same.to_text().expose_secret(), printed.expose_secret());
        true
    });
}

#[test]
fn fuzz_certificates() {
    fuzz("certificates", &[], |input| {
        let text = SecretString::from(String::from_utf8_lossy(input).into_owned());
        let Ok(certificate) = read_certificate(&text) else { return false };
        let canonical = canonical_pem(text.expose_secret());
        if let Some(canonical) = canonical {
            let same = read_certificate(&SecretString::from(canonical.as_str())).unwrap();
            assert_eq!(same.fingerprint, certificate.fingerprint);
        }
        true
    });
}

#[test]
fn fuzz_sealed_values() {
    const VALUE: &str = "a value that is sealed";
    let call = SealedCall { project: "demo", agent: "builder", request: "r-1" };
    let place = SealedPlace { entry: "e-1", version: 2, name: "TOKEN" };
    let recipient = Recipient::generate().unwrap();
    let key = RecipientKey::parse(recipient.public_key()).unwrap();
    let seeds: Vec<String> = [VALUE, "x"].map(|value| key.seal(&call, &place, &value.into()).unwrap()).into();
    let made: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.clone().into_bytes()).collect();
    fuzz("sealed", &made, |input| {
        let text = String::from_utf8_lossy(input);
        let opened = recipient.open(&call, &place, &text);
        assert_eq!(opened.is_ok(), seeds.iter().any(|seed| *seed == text), "only what was sealed opens");
        // Whatever a recipient's key is, sealing for it fails or gives what it alone opens.
        if let Ok(key) = RecipientKey::parse(&text) {
            let sealed = key.seal(&call, &place, &VALUE.into());
            assert!(sealed.is_err() || recipient.open(&call, &place, &sealed.unwrap()).is_err());
        }
        opened.is_ok()
    });
}
