//! Tokens for development.

use super::super::{Claims, SignerError};
use super::*;
use crate::domain::{Narrowing, Principal, ProjectId, RuntimeId};
use secrecy::SecretString;

fn claims(clock: &ManualClock, kind: TokenKind) -> Claims {
    let narrowing =
        Narrowing { project: ProjectId::parse("p").ok(), names: Some(["A".to_owned()].into()), ..Narrowing::default() };
    let issued = clock.now();
    Claims { iss: MAIN.to_owned(), kind, sub: "r".to_owned(), issued, expires: issued.plus(secs(HOUR)), narrowing }
}

#[tokio::test]
async fn what_a_signer_signs_its_key_set_verifies() {
    let clock = clock();
    let signer = Signer::generate().unwrap();
    let issuers = vec![issuer(MAIN, KeySource::Set(signer.jwks()), TokenKind::ALL, None)];
    let verifier = Verifier::new(issuers, clock.clone(), REFRESH).unwrap();
    // Without `load`, the first token causes the set to be read.
    let said = claims(&clock, TokenKind::Runtime);
    let answer = verifier.verify(&signer.sign(&said).unwrap()).await.unwrap();
    assert_eq!(answer.principal, Principal::Runtime(RuntimeId::parse("r").unwrap(), said.narrowing.clone()));
    assert_eq!(answer.expires_at, said.expires);
    for (kind, who) in [(TokenKind::User, "user:r"), (TokenKind::Service, "service:r")] {
        let token = signer.sign(&claims(&clock, kind)).unwrap();
        assert_eq!(verifier.verify(&token).await.unwrap().principal.to_string(), who);
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        assert!(!String::from_utf8(payload).unwrap().contains("vault:"));
    }

    // The key read back from its PEM signs for the same set; another key does not.
    let again = Signer::from_pem(&signer.to_pem()).unwrap();
    assert_eq!(again.jwks(), signer.jwks());
    assert!(verifier.verify(&again.sign(&said).unwrap()).await.is_ok());
    let other = Signer::generate().unwrap().sign(&said).unwrap();
    assert_eq!(verifier.verify(&other).await, Err(TokenError::UnknownKey));
}

#[test]
fn a_key_is_read_from_pkcs8_pem_alone() {
    let pem = Signer::generate().unwrap().to_pem();
    let pem = pem.expose_secret();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("\n-----END PRIVATE KEY-----\n"));
    assert!(pem.lines().all(|line| line.len() <= 64));
    let crlf = pem.replace('\n', "\r\n");
    assert!(Signer::from_pem(&SecretString::from(crlf)).is_ok());
    let exported = format!("\u{feff}Bag Attributes\n    localKeyID: 01\n{pem} \n");
    assert!(Signer::from_pem(&SecretString::from(exported)).is_ok());
    let rsa = String::from_utf8(RSA.to_vec()).unwrap();
    for bad in [String::new(), pem.replace("PRIVATE", "PUBLIC"), pem.replace("MC4", "MC5"), rsa] {
        assert_eq!(Signer::from_pem(&SecretString::from(bad)).err(), Some(SignerError::Form));
    }
}

#[test]
fn the_keys_id_is_its_thumbprint() {
    // The key and the thumbprint of RFC 8037, appendix A.
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
               -----END PRIVATE KEY-----";
    let set: Value = serde_json::from_str(&Signer::from_pem(&SecretString::from(pem)).unwrap().jwks()).unwrap();
    assert_eq!(set["keys"][0]["x"], "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(set["keys"][0]["kid"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}
