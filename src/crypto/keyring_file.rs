//! The keyring as text and as a file.

use super::aead::{KEY_BYTES, KeyBytes};
use super::keyring::{Keyring, is_id};
use super::keyring_error::KeyringError;
use data_encoding::BASE64;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

const HEADER: &str = "\
# The master keys of Project Vault. With them and the database every value can be read; without them none can.
# Keep this file secret, and a copy of it in a safe place apart from the database. `current` encrypts, all decrypt.
";
/// The Base64 of a key (RFC 4648, section 4), with its padding.
const ENCODED_BYTES: usize = 44;
/// Maximum size of a keyring's file, in bytes: room for some ten thousand keys.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Permissions that a keyring's file must not have: writing for the group, anything for others.
#[cfg(unix)]
const EXPOSED: u32 = 0o027;

impl Keyring {
    /// Reads the text that [`Self::to_text`] writes: TOML with `current`, the id of the key that
    /// encrypts, and the table `keys` of ids (1 to 64 of `[A-Za-z0-9._-]`) and keys (the Base64 of
    /// 32 bytes).
    ///
    /// # Errors
    /// For any other text. The error contains the line, or the id of a malformed key, and nothing
    /// else of the text.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        // The parser's own error quotes the line, which may hold a key.
        let table = DeTable::parse(text).map_err(|error| syntax(text, &error))?;
        let (mut current, mut keys) = (None, BTreeMap::new());
        for (name, value) in table.get_ref() {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("current", DeValue::String(id)) => {
                    current = Some(
                        is_id(id)
                            .then(|| id.as_ref().to_owned())
                            .ok_or(KeyringError::Id { line: line(text, value) })?,
                    );
                }
                ("keys", DeValue::Table(table)) => keys = parse_keys(text, table)?,
                _ => return Err(KeyringError::Field { line: line(text, name) }),
            }
        }
        let current = current.ok_or(KeyringError::NoCurrent)?;
        if !keys.contains_key(&current) {
            return Err(KeyringError::CurrentNotThere(current));
        }
        Ok(Self { current, keys })
    }

    /// The text that [`Self::parse`] reads. It contains the keys: write it to the keyring's file
    /// and nowhere else.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        // The buffer has room for everything, so it does not grow and leave a copy behind.
        let room = HEADER.len() + 64 + self.current.len();
        let room = self.keys.keys().fold(room, |room, id| room + id.len() + ENCODED_BYTES + 16);
        let mut text = Zeroizing::new(String::with_capacity(room));
        for part in [HEADER, "\ncurrent = \"", &self.current, "\"\n\n[keys]\n"] {
            text.push_str(part);
        }
        let mut encoded = Zeroizing::new([0; ENCODED_BYTES]);
        for (id, key) in &self.keys {
            // Quoted, because an id may contain dots.
            for part in ["\"", id, "\" = \"", BASE64.encode_mut_str(key.expose(), &mut *encoded), "\"\n"] {
                text.push_str(part);
            }
        }
        SecretString::from(text.as_str())
    }

    /// Reads a keyring's file. On Unix its mode must be at most 0640: only the owner writes it, and
    /// only the owner and the group read it.
    ///
    /// # Errors
    /// [`KeyringError::Missing`], [`KeyringError::Exposed`], [`KeyringError::Unreadable`] and
    /// [`KeyringError::TooLarge`] for the file; those of [`Self::parse`] for its contents.
    pub fn read_file(path: &Path) -> Result<Self, KeyringError> {
        let unreadable = |source| KeyringError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => KeyringError::Missing(path.to_owned()),
            _ => unreadable(error),
        })?;
        let metadata = file.metadata().map_err(unreadable)?;
        require_private(path, &metadata)?;
        if metadata.len() > MAX_FILE_BYTES {
            return Err(KeyringError::TooLarge(path.to_owned()));
        }
        let room = usize::try_from(metadata.len()).unwrap_or_default() + 1;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(unreadable)?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| KeyringError::Syntax { line: line_at(&bytes, error.valid_up_to()) })?;
        Self::parse(text)
    }
}

/// Checks the open file rather than the path, which could name another one by now.
#[cfg(unix)]
fn require_private(path: &Path, metadata: &Metadata) -> Result<(), KeyringError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & EXPOSED == 0 { Ok(()) } else { Err(KeyringError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn require_private(_: &Path, _: &Metadata) -> Result<(), KeyringError> {
    Ok(())
}

fn parse_keys(text: &str, table: &DeTable<'_>) -> Result<BTreeMap<String, KeyBytes>, KeyringError> {
    let mut keys = BTreeMap::new();
    for (name, value) in table {
        let id = name.get_ref().as_ref();
        if !is_id(id) {
            return Err(KeyringError::Id { line: line(text, name) });
        }
        let DeValue::String(encoded) = value.get_ref() else {
            return Err(KeyringError::Field { line: line(text, value) });
        };
        keys.insert(id.to_owned(), decode(encoded).ok_or_else(|| KeyringError::Material(id.to_owned()))?);
    }
    Ok(keys)
}

fn decode(encoded: &str) -> Option<KeyBytes> {
    if encoded.len() != ENCODED_BYTES {
        return None;
    }
    // 44 characters without padding decode to 33 bytes.
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
    let length = BASE64.decode_mut(encoded.as_bytes(), &mut *bytes).ok()?;
    KeyBytes::copy_of(&bytes[..length])
}

/// Names a duplicate name; of any other syntax error, gives only the line.
fn syntax(text: &str, error: &toml::de::Error) -> KeyringError {
    let span = error.span().unwrap_or_default();
    let name = text.get(span.clone()).unwrap_or_default().trim_matches(['"', '\'']);
    if error.message() == "duplicate key" && is_id(name) {
        return KeyringError::Duplicate(name.to_owned());
    }
    KeyringError::Syntax { line: line_at(text.as_bytes(), span.start) }
}

fn line<T>(text: &str, at: &Spanned<T>) -> usize {
    line_at(text.as_bytes(), at.span().start)
}

fn line_at(text: &[u8], at: usize) -> usize {
    1 + text.iter().take(at).filter(|b| **b == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    /// The Base64 of 32 bytes, 6 of them.
    const KEY: &str = "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=";

    fn refusal(text: &str) -> KeyringError {
        let error = Keyring::parse(text).err().unwrap();
        let (said, debugged) = (error.to_string(), format!("{error:?}"));
        assert!(!said.contains("BgYG") && !debugged.contains("BgYG"), "key material in {debugged}");
        error
    }

    #[test]
    fn a_keyring_is_read_back_from_its_text() {
        let mut ring = Keyring::generate().unwrap();
        ring.add_key().unwrap();
        ring.keys.insert("2030.a_B-c".into(), KeyBytes::random().unwrap());
        let text = ring.to_text();
        assert!(text.expose_secret().starts_with("# The master keys of Project Vault."));
        let read = Keyring::parse(text.expose_secret()).unwrap();
        assert_eq!(read.current_id(), ring.current_id());
        assert!(read.ids().eq(ring.ids()) && read.ids().count() == 3);
        for (id, key) in &ring.keys {
            assert_eq!(read.keys[id].expose(), key.expose());
        }
    }

    #[test]
    fn a_keyring_may_be_written_by_hand() {
        let ring = Keyring::parse(&format!("current='a'\n[keys]\na = \"{KEY}\" # comment\n'b.c' = '{KEY}'")).unwrap();
        assert_eq!(ring.current_id(), "a");
        assert_eq!(ring.ids().collect::<Vec<_>>(), ["a", "b.c"]);
        assert_eq!(ring.keys["a"].expose(), &[6; 32]);
    }

    #[test]
    fn what_is_wrong_with_a_keyring_is_named_without_key_material() {
        let keys = |keys: &str| refusal(&format!("current = \"a\"\n[keys]\na = \"{KEY}\"\n{keys}\n"));
        assert!(matches!(keys(&format!("a = \"{KEY}\"")), KeyringError::Duplicate(id) if id == "a"));
        assert!(
            matches!(keys(&format!("'b.c'=\"{KEY}\"\n\"b.c\"=\"{KEY}\"")), KeyringError::Duplicate(id) if id == "b.c")
        );
        assert!(matches!(keys("[keys]"), KeyringError::Duplicate(id) if id == "keys"));
        assert!(matches!(keys(&format!("b.c = \"{KEY}\"")), KeyringError::Field { line: 4 }));
        assert!(matches!(keys("b = 7"), KeyringError::Field { line: 4 }));
        assert!(matches!(keys(&format!("b = [\"{KEY}\"]")), KeyringError::Field { line: 4 }));
        assert!(matches!(keys(&format!("b = \"{KEY}")), KeyringError::Syntax { line: 4 }));
        assert!(matches!(keys(&format!("b = {KEY}")), KeyringError::Syntax { line: 4 }));
        assert!(matches!(keys(KEY), KeyringError::Syntax { line: 4 }));
        assert!(matches!(keys(&format!("\"{KEY}\" = \"b\"")), KeyringError::Id { line: 4 }));
        assert!(matches!(keys(&format!("\"{KEY}\" = \"b\"\n\"{KEY}\" = \"c\"")), KeyringError::Syntax { line: 5 }));
        assert!(matches!(keys(&format!("\"a b\" = \"{KEY}\"")), KeyringError::Id { line: 4 }));
        assert!(matches!(keys(&format!("\"\" = \"{KEY}\"")), KeyringError::Id { line: 4 }));
        assert!(matches!(keys(&format!("\"{}\" = \"{KEY}\"", "a".repeat(65))), KeyringError::Id { line: 4 }));
        assert!(matches!(keys(&format!("[other]\nx = \"{KEY}\"")), KeyringError::Field { line: 4 }));
        assert!(matches!(refusal(&format!("current = \"a\"\n\"{KEY}\" = 1\n")), KeyringError::Field { line: 2 }));
        assert!(matches!(refusal(&format!("keys = \"{KEY}\"")), KeyringError::Field { line: 1 }));
        assert!(matches!(refusal(&format!("current = \"{KEY}\"")), KeyringError::Id { line: 1 }));
        assert!(matches!(refusal("current = 1"), KeyringError::Field { line: 1 }));
    }

    #[test]
    fn a_key_that_is_not_the_base64_of_32_bytes_is_named_by_its_id() {
        let padded_wrongly = KEY.replace("Y=", "Z=");
        for bad in [
            "",
            "BgYG",
            &KEY[..43],
            &"BgYG".repeat(11),
            &format!("{KEY}="),
            &format!(" {}", &KEY[..43]),
            &padded_wrongly,
        ] {
            let error = refusal(&format!("current = \"a\"\n[keys]\na = \"{KEY}\"\nb = \"{bad}\""));
            assert!(matches!(&error, KeyringError::Material(id) if id == "b"), "{bad}");
            assert!(error.to_string().contains("\"b\""));
        }
    }

    #[test]
    fn the_key_that_encrypts_has_to_be_there() {
        assert!(matches!(refusal(""), KeyringError::NoCurrent));
        assert!(matches!(refusal(&format!("[keys]\na = \"{KEY}\"")), KeyringError::NoCurrent));
        let absent = refusal(&format!("current = \"b\"\n[keys]\na = \"{KEY}\""));
        assert!(matches!(&absent, KeyringError::CurrentNotThere(id) if id == "b"));
        assert!(absent.to_string().contains("\"b\""));
        assert!(matches!(refusal("current = \"b\""), KeyringError::CurrentNotThere(_)));
    }

    #[test]
    fn a_missing_file_says_how_to_create_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = Keyring::read_file(&folder.path().join("none")).err().unwrap();
        assert!(matches!(error, KeyringError::Missing(_)));
        assert!(error.to_string().contains("project-vault keys generate"));
        assert!(Keyring::read_file(folder.path()).is_err(), "a folder is no keyring");
    }

    #[test]
    fn a_file_that_is_no_text_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        write(&path, b"# one\n\xff", 0o600);
        assert!(matches!(Keyring::read_file(&path).err(), Some(KeyringError::Syntax { line: 2 })));
        write(&path, &vec![b'#'; 1024 * 1024 + 1], 0o600);
        assert!(matches!(Keyring::read_file(&path).err(), Some(KeyringError::TooLarge(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_touch_or_the_group_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyring.toml");
        let ring = Keyring::generate().unwrap();
        for mode in [0o400, 0o440, 0o600, 0o640] {
            write(&path, ring.to_text().expose_secret().as_bytes(), mode);
            assert_eq!(Keyring::read_file(&path).ok().unwrap().current_id(), ring.current_id(), "{mode:o}");
        }
        for mode in [0o644, 0o660, 0o620, 0o642, 0o604, 0o602, 0o601, 0o777] {
            write(&path, ring.to_text().expose_secret().as_bytes(), mode);
            let error = Keyring::read_file(&path).err().unwrap();
            assert!(matches!(error, KeyringError::Exposed { mode: found, .. } if found == mode), "{mode:o}");
            let said = error.to_string();
            assert!(
                said.contains(&format!("chmod 640 {}", path.display())) && said.contains(&format!("{mode:04o}")),
                "{said}"
            );
        }
    }

    fn write(path: &Path, bytes: &[u8], mode: u32) {
        let _ = std::fs::remove_file(path);
        std::fs::write(path, bytes).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        #[cfg(not(unix))]
        let _ = mode;
    }
}
