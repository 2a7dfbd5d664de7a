//! A token that was verified before is refused as soon as one that was not.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A server of one key set that tests change.
struct Published(std::path::PathBuf);

impl Published {
    fn new(keys: &[&TestKey]) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let file = Self(std::env::temp_dir().join(format!("vault-keys-{}-{number}.json", std::process::id())));
        file.publish(keys);
        file
    }

    fn publish(&self, keys: &[&TestKey]) {
        std::fs::write(&self.0, set_of(keys)).unwrap();
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn verifier(of: &Published, clock: Arc<ManualClock>) -> Verifier {
    let issuers = vec![issuer(MAIN, KeySource::File(of.0.clone()), TokenKind::ALL, None)];
    Verifier::new(issuers, clock, REFRESH).unwrap()
}

fn token(key: &TestKey, clock: &ManualClock) -> String {
    let now = clock.now().millis() / 1000;
    key.token(&json!({ "iss": MAIN, "aud": "project-vault", "sub": "ada", "nbf": now, "exp": now + 60 }))
}

#[tokio::test]
async fn it_ends_when_its_time_is_over_or_its_key_is_withdrawn() {
    let (key, other, clock) = (TestKey::ed("k"), TestKey::ed("other"), clock());
    let published = Published::new(&[&key, &other]);
    let verifier = verifier(&published, clock.clone());
    verifier.load().await;
    let first = token(&key, &clock);
    let answer = verifier.verify(&first).await.unwrap();
    assert_eq!(verifier.verify(&first).await, Ok(answer), "the second time it is remembered");
    clock.advance(secs(60 + 30));
    assert_eq!(verifier.verify(&first).await, Err(TokenError::Expired));

    let second = token(&key, &clock);
    assert!(verifier.verify(&second).await.is_ok());
    published.publish(&[&other]);
    verifier.load().await;
    assert_eq!(verifier.verify(&second).await, Err(TokenError::UnknownKey));
}

#[tokio::test]
async fn it_ends_when_its_key_id_names_another_key() {
    let (key, other, clock) = (TestKey::ed("k"), TestKey::ed("k"), clock());
    let published = Published::new(&[&key]);
    let verifier = verifier(&published, clock.clone());
    verifier.load().await;
    let token = token(&key, &clock);
    assert!(verifier.verify(&token).await.is_ok());

    published.publish(&[&other]);
    verifier.load().await;
    assert_eq!(verifier.verify(&token).await.map(drop), Err(TokenError::Signature));
}

#[tokio::test]
async fn its_text_with_another_signature_is_not_remembered() {
    let (key, clock) = (TestKey::ed("k"), clock());
    let published = Published::new(&[&key]);
    let verifier = verifier(&published, clock.clone());
    verifier.load().await;
    let token = token(&key, &clock);
    assert!(verifier.verify(&token).await.is_ok());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
    assert!(verifier.verify(&forged).await.is_err());
}
