//! Sealed delivery: only the process that asked for a value can open it, even if others read the
//! answer on its way.
//!
//! HPKE (RFC 9180) in base mode, single-shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//! `docs/agents.md` has the bytes for other implementations. The recipient makes a key pair for
//! each call, so its public key, which HPKE binds, is also what makes an answer impossible to
//! replay.

use super::{CryptoError, fields::Fields};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, single_shot_open};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::{Zeroize as _, Zeroizing};

type Kem = X25519HkdfSha256;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// The length of a public key and of an encapsulated key, in bytes (RFC 9180, section 7.1).
const KEY_BYTES: usize = 32;
/// Labels that keep these bytes apart from everything else the vault authenticates.
const CALL: &[u8] = b"sealed";
const VALUE: &[u8] = b"sealed-value";

/// The call that a value is sealed for: the `info` of HPKE. Each part as the API shows it.
#[derive(Debug, Clone, Copy)]
pub struct SealedCall<'a> {
    /// The project that was asked about.
    pub project: &'a str,
    /// The agent that was asked for.
    pub agent: &'a str,
    /// The request, as the answer and the access record name it.
    pub request: &'a str,
}

/// The value that is sealed: the associated data of HPKE. Each part as the API shows it.
#[derive(Debug, Clone, Copy)]
pub struct SealedPlace<'a> {
    /// The entry's id.
    pub entry: &'a str,
    /// The version released.
    pub version: i32,
    /// The name it is delivered under.
    pub name: &'a str,
}

impl SealedCall<'_> {
    fn info(&self) -> Vec<u8> {
        let Self { project, agent, request } = self;
        Fields::new(CALL).bytes(project.as_bytes()).bytes(agent.as_bytes()).bytes(request.as_bytes()).finish()
    }
}

impl SealedPlace<'_> {
    fn associated(&self) -> Vec<u8> {
        let Self { entry, version, name } = self;
        let version = version.to_string();
        Fields::new(VALUE).bytes(entry.as_bytes()).bytes(version.as_bytes()).bytes(name.as_bytes()).finish()
    }
}

/// The public key of the recipient.
pub struct RecipientKey(PublicKey);

impl RecipientKey {
    /// Parses a public key in base64url without padding.
    ///
    /// # Errors
    /// [`CryptoError::Recipient`] when the text does not encode 32 bytes.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CryptoError::Recipient)?;
        PublicKey::from_bytes(&bytes).map(Self).map_err(|_| CryptoError::Recipient)
    }

    /// Seals a value; returns the encapsulated key followed by the ciphertext, in base64url.
    ///
    /// # Errors
    /// [`CryptoError::Recipient`] when nothing can be sealed for this key, such as one of low order
    /// (RFC 9180, section 7.1.4).
    pub fn seal(
        &self,
        call: &SealedCall<'_>,
        place: &SealedPlace<'_>,
        value: &SecretString,
    ) -> Result<String, CryptoError> {
        self.seal_with(&call.info(), &place.associated(), value, &mut hpke::rand_core::UnwrapErr(getrandom::SysRng))
    }

    fn seal_with(
        &self,
        info: &[u8],
        associated: &[u8],
        value: &SecretString,
        random: &mut impl hpke::rand_core::CryptoRng,
    ) -> Result<String, CryptoError> {
        let plaintext = value.expose_secret().as_bytes();
        let (key, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Kem>(
            &OpModeS::Base,
            &self.0,
            info,
            plaintext,
            associated,
            random,
        )
        .map_err(|_| CryptoError::Recipient)?;
        let mut sealed = key.to_bytes().to_vec();
        sealed.extend_from_slice(&ciphertext);
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }
}

/// A key pair that lives for one call. The private key is zeroized on drop.
pub struct Recipient {
    private: PrivateKey,
    public: String,
}

impl Recipient {
    /// A new key pair.
    ///
    /// # Errors
    /// [`CryptoError::Randomness`] when the operating system gives none.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut material = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *material).map_err(|_| CryptoError::Randomness)?;
        let (private, public) = Kem::derive_keypair(&*material);
        Ok(Self { private, public: URL_SAFE_NO_PAD.encode(public.to_bytes()) })
    }

    /// The public key, in base64url without padding.
    #[must_use]
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// Opens what was sealed for this key, this call and this value.
    ///
    /// # Errors
    /// [`CryptoError::NotAuthentic`] for anything else; [`CryptoError::Form`] when the value is not
    /// UTF-8.
    pub fn open(
        &self,
        call: &SealedCall<'_>,
        place: &SealedPlace<'_>,
        sealed: &str,
    ) -> Result<SecretString, CryptoError> {
        open(&self.private, &call.info(), &place.associated(), sealed)
    }
}

fn open(private: &PrivateKey, info: &[u8], associated: &[u8], sealed: &str) -> Result<SecretString, CryptoError> {
    let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| CryptoError::NotAuthentic)?;
    let (key, ciphertext) = bytes.split_at_checked(KEY_BYTES).ok_or(CryptoError::NotAuthentic)?;
    let key = EncappedKey::from_bytes(key).map_err(|_| CryptoError::NotAuthentic)?;
    let plaintext =
        single_shot_open::<AesGcm256, HkdfSha256, Kem>(&OpModeR::Base, private, &key, info, ciphertext, associated)
            .map_err(|_| CryptoError::NotAuthentic)?;
    String::from_utf8(plaintext).map(SecretString::from).map_err(|error| {
        error.into_bytes().zeroize();
        CryptoError::Form
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER_PERMISSIVE as HEX;
    use serde::Deserialize;

    const CALL: SealedCall<'static> = SealedCall { project: "demo", agent: "builder", request: "r-1" };
    const PLACE: SealedPlace<'static> = SealedPlace { entry: "e-1", version: 2, name: "TOKEN" };

    /// The published vectors of RFC 9180 for this suite in base mode; the first three of its
    /// messages.
    #[derive(Deserialize)]
    struct Vectors {
        info: String,
        #[serde(rename = "ikmE")]
        ikm_e: String,
        #[serde(rename = "skRm")]
        private: String,
        #[serde(rename = "pkRm")]
        public: String,
        enc: String,
        encryptions: Vec<Message>,
    }

    #[derive(Deserialize)]
    struct Message {
        aad: String,
        ct: String,
        pt: String,
    }

    fn vectors() -> Vectors {
        serde_json::from_str(include_str!("../../tests/vectors/hpke.json")).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        HEX.decode(text.as_bytes()).unwrap()
    }

    /// "Randomness" from a test vector.
    struct Fixed(Vec<u8>);

    impl hpke::rand_core::TryRng for Fixed {
        type Error = std::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            unreachable!("keys are filled")
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            unreachable!("keys are filled")
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }
    impl hpke::rand_core::TryCryptoRng for Fixed {}

    #[test]
    fn the_published_vectors_of_the_suite_come_out_and_open() {
        let known = vectors();
        let (first, info) = (&known.encryptions[0], hex(&known.info));
        let expected = URL_SAFE_NO_PAD.encode([hex(&known.enc), hex(&first.ct)].concat());
        let text = String::from_utf8(hex(&first.pt)).unwrap();
        let key = RecipientKey::parse(&URL_SAFE_NO_PAD.encode(hex(&known.public))).unwrap();
        let random = &mut Fixed(hex(&known.ikm_e));
        let sealed = key.seal_with(&info, &hex(&first.aad), &SecretString::from(text.clone()), random).unwrap();
        assert_eq!(sealed, expected);
        let private = PrivateKey::from_bytes(&hex(&known.private)).unwrap();
        assert_eq!(open(&private, &info, &hex(&first.aad), &sealed).unwrap().expose_secret(), text);
    }

    #[test]
    fn the_published_sequence_of_messages_opens() {
        let known = vectors();
        let private = PrivateKey::from_bytes(&hex(&known.private)).unwrap();
        let enc = EncappedKey::from_bytes(&hex(&known.enc)).unwrap();
        let mut context =
            hpke::setup_receiver::<AesGcm256, HkdfSha256, Kem>(&OpModeR::Base, &private, &enc, &hex(&known.info))
                .unwrap();
        for message in &known.encryptions {
            assert_eq!(context.open(&hex(&message.ct), &hex(&message.aad)).unwrap(), hex(&message.pt));
        }
    }

    #[test]
    fn a_value_opens_for_its_key_its_call_and_its_place_alone() {
        let recipient = Recipient::generate().unwrap();
        let key = RecipientKey::parse(recipient.public_key()).unwrap();
        let value = SecretString::from("välue\n");
        let sealed = key.seal(&CALL, &PLACE, &value).unwrap();
        assert_ne!(sealed, key.seal(&CALL, &PLACE, &value).unwrap());
        assert_eq!(recipient.open(&CALL, &PLACE, &sealed).unwrap().expose_secret(), value.expose_secret());

        let refused = |recipient: &Recipient, call: SealedCall<'_>, place: SealedPlace<'_>, sealed: &str| {
            assert_eq!(recipient.open(&call, &place, sealed).err(), Some(CryptoError::NotAuthentic));
        };
        refused(&Recipient::generate().unwrap(), CALL, PLACE, &sealed);
        refused(&recipient, SealedCall { project: "other", ..CALL }, PLACE, &sealed);
        refused(&recipient, SealedCall { agent: "other", ..CALL }, PLACE, &sealed);
        refused(&recipient, SealedCall { request: "r-2", ..CALL }, PLACE, &sealed);
        refused(&recipient, CALL, SealedPlace { entry: "e-2", ..PLACE }, &sealed);
        refused(&recipient, CALL, SealedPlace { version: 3, ..PLACE }, &sealed);
        refused(&recipient, CALL, SealedPlace { name: "OTHER", ..PLACE }, &sealed);
        refused(&recipient, CALL, PLACE, &sealed[..40]);
        refused(&recipient, CALL, PLACE, "");
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            refused(&recipient, CALL, PLACE, &URL_SAFE_NO_PAD.encode(&bytes));
            bytes[index] ^= 1;
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let good = Recipient::generate().unwrap().public_key().to_owned();
        for text in [String::new(), good[1..].to_owned(), format!("{good}="), format!("{good}AA"), "+".repeat(43)] {
            assert_eq!(RecipientKey::parse(&text).err(), Some(CryptoError::Recipient), "{text}");
        }
        let low_order = RecipientKey::parse(&URL_SAFE_NO_PAD.encode([0; 32])).unwrap();
        let sealed = low_order.seal(&CALL, &PLACE, &SecretString::from("v"));
        assert_eq!(sealed.err(), Some(CryptoError::Recipient));
    }

    #[test]
    fn what_is_bound_has_the_documented_bytes() {
        let info = b"\x00\x00\x00\x10project-vault/v1\x00\x00\x00\x06sealed\
            \x00\x00\x00\x04demo\x00\x00\x00\x07builder\x00\x00\x00\x03r-1";
        let associated = b"\x00\x00\x00\x10project-vault/v1\x00\x00\x00\x0csealed-value\
            \x00\x00\x00\x03e-1\x00\x00\x00\x012\x00\x00\x00\x05TOKEN";
        assert_eq!(CALL.info(), info);
        assert_eq!(PLACE.associated(), associated);
    }
}
