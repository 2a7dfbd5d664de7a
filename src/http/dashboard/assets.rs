//! The files of the page. One hash over all of them is part of their addresses, so a file never
//! changes under its address, and imports of one module by another stay relative.
//!
//! A debug build reads the files of `dashboard/` at start, a release build contains them.

use super::RESOURCE_POLICY;
use crate::http::conditional::knows;
use crate::http::endpoint::quality;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use rust_embed::RustEmbed;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, LazyLock, OnceLock};

/// Bytes of the hash in addresses and ETags.
const HASH_BYTES: usize = 12;
/// The file that is the page.
const PAGE_FILE: &str = "index.html";
/// What the page has in the place of the folder of its other files.
const FOLDER_MARK: &str = "{{assets}}";
/// A year, the longest that caches keep an answer.
const FOREVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Quality of brotli, of 11: the best ones take ten times as long for a few percent.
const BROTLI_QUALITY: u32 = 9;
/// Brotli's window, as a power of two: 1 MiB, larger than any file here.
const BROTLI_WINDOW: u32 = 20;
const BROTLI_BUFFER: usize = 4 * 1024;

/// The types of files that the page consists of.
const TYPES: [(&str, &str); 6] = [
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("woff2", "font/woff2"),
];
/// The types that are compressed already.
const COMPRESSED: [&str; 2] = ["image/png", "font/woff2"];

#[derive(RustEmbed)]
#[folder = "dashboard/"]
#[include = "*.html"]
#[include = "*.css"]
#[include = "*.js"]
#[include = "*.mjs"]
#[include = "*.png"]
#[include = "*.svg"]
#[include = "*.woff2"]
#[exclude = "node_modules/*"]
#[exclude = "*.test.js"]
#[exclude = "*.test.mjs"]
struct Embedded;

/// All files of the page.
pub(super) struct Assets {
    hash: String,
    page: Bytes,
    files: HashMap<String, Arc<Asset>>,
}

/// One file.
struct Asset {
    content: Bytes,
    content_type: &'static str,
    hash: String,
    brotli: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
}

/// How an answer is encoded (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Brotli,
    Gzip,
    Identity,
}

impl Assets {
    /// The files, which are read once.
    pub(super) fn all() -> &'static Self {
        static ALL: LazyLock<Assets> = LazyLock::new(|| {
            let mut files: Vec<_> = Embedded::iter()
                .filter_map(|path| Some((path.to_string(), Embedded::get(&path)?.data.into_owned())))
                .collect();
            files.sort();
            Assets::of(files)
        });
        &ALL
    }

    /// Of these paths and contents, in their order.
    fn of(files: Vec<(String, Vec<u8>)>) -> Self {
        let mut hash = Sha256::new();
        for (path, content) in &files {
            // Lengths first, so that no two lists of files give the same bytes.
            for part in [path.as_bytes(), content] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let hash = HEXLOWER.encode(&hash.finalize()[..HASH_BYTES]);
        let page = files.iter().find(|(path, _)| path == PAGE_FILE).map(|(_, content)| content.as_slice());
        let page = String::from_utf8_lossy(page.unwrap_or_default()).replace(FOLDER_MARK, &format!("/assets/{hash}"));
        let files = files.into_iter().filter_map(|(path, content)| Some((Arc::new(Asset::of(&path, content)?), path)));
        Self { hash, page: page.into(), files: files.map(|(asset, path)| (path, asset)).collect() }
    }

    /// The page.
    pub(super) fn page(&self) -> Bytes {
        self.page.clone()
    }
}

impl Asset {
    /// A file other than the page.
    fn of(path: &str, content: Vec<u8>) -> Option<Self> {
        let extension = path.rsplit_once('.')?.1;
        let (_, content_type) = TYPES.iter().find(|(known, _)| *known == extension)?;
        let hash = HEXLOWER.encode(&Sha256::digest(&content)[..HASH_BYTES]);
        let content = content.into();
        Some(Self { content, content_type, hash, brotli: OnceLock::new(), gzip: OnceLock::new() })
    }

    /// The file in this encoding, or as it is where that is not longer.
    fn encoded(&self, encoding: Encoding) -> (Encoding, Bytes) {
        let compressed = match encoding {
            _ if COMPRESSED.contains(&self.content_type) => None,
            Encoding::Brotli => self.brotli.get_or_init(|| self.shorter(brotli(&self.content))).clone(),
            Encoding::Gzip => self.gzip.get_or_init(|| self.shorter(gzip(&self.content))).clone(),
            Encoding::Identity => None,
        };
        compressed.map_or((Encoding::Identity, self.content.clone()), |bytes| (encoding, bytes))
    }

    fn shorter(&self, compressed: std::io::Result<Vec<u8>>) -> Option<Bytes> {
        compressed.ok().filter(|bytes| bytes.len() < self.content.len()).map(Bytes::from)
    }

    fn etag(&self, encoding: Encoding) -> Option<HeaderValue> {
        // Each encoding is a representation of its own (RFC 9110, section 8.8.3.3).
        let encoding = encoding.name().map(|name| format!("-{name}")).unwrap_or_default();
        HeaderValue::try_from(format!("\"{}{encoding}\"", self.hash)).ok()
    }
}

fn brotli(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    brotli::CompressorReader::new(content, BROTLI_BUFFER, BROTLI_QUALITY, BROTLI_WINDOW)
        .read_to_end(&mut compressed)?;
    Ok(compressed)
}

fn gzip(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

impl Encoding {
    /// The best encoding that the client accepts (RFC 9110, section 12.5.3).
    fn preferred(headers: &HeaderMap) -> Self {
        let accepts = |name: &str| {
            let codings = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
            codings.flat_map(|value| value.split(',')).any(|coding| {
                let mut parts = coding.split(';').map(str::trim);
                let is_named = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case(name));
                is_named && parts.find_map(quality).unwrap_or(1000) > 0
            })
        };
        [Self::Brotli, Self::Gzip]
            .into_iter()
            .find(|coding| coding.name().is_some_and(accepts))
            .unwrap_or(Self::Identity)
    }

    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

/// Answers with a file of the page.
pub(super) async fn asset(path: Result<Path<(String, String)>, PathRejection>, headers: HeaderMap) -> Response {
    let found = path.ok().and_then(|Path((hash, path))| {
        // A page of another version asks for files that go with it; it is to be loaded again.
        Assets::all().files.get(&path).filter(|_| hash == Assets::all().hash)
    });
    let Some(asset) = found.cloned() else { return not_found() };
    let preferred = Encoding::preferred(&headers);
    let content_type = asset.content_type;
    // The first request for a file compresses it.
    let encoded = tokio::task::spawn_blocking(move || {
        let (encoding, content) = asset.encoded(preferred);
        (asset.etag(encoding), encoding, content)
    });
    let Ok((Some(etag), encoding, content)) = encoded.await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let known = knows(headers.get_all(IF_NONE_MATCH), &etag);
    let common = [(CACHE_CONTROL, FOREVER), (VARY, HeaderValue::from_static("accept-encoding")), (ETAG, etag)];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let mut response = (common, content).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    if let Some(name) = encoding.name() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets(files: &[(&str, &str)]) -> Assets {
        Assets::of(files.iter().map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec())).collect())
    }

    #[test]
    fn the_hash_is_that_of_every_path_and_content() {
        let hashes = [
            assets(&[("a.js", "1"), ("b.js", "2")]),
            assets(&[("a.js", "1"), ("b.js", "3")]),
            assets(&[("a.js", "1"), ("c.js", "2")]),
            assets(&[("a.js", "12")]),
            assets(&[("a.js", "")]),
        ]
        .map(|assets| assets.hash);
        for (index, hash) in hashes.iter().enumerate() {
            assert!(!hashes[..index].contains(hash), "{index}");
        }
    }

    #[test]
    fn the_page_names_the_folder_of_its_files() {
        let assets = assets(&[("index.html", "<a href=\"{{assets}}/a.js\">"), ("a.js", "1"), ("notes.txt", "x")]);
        assert_eq!(assets.page(), format!("<a href=\"/assets/{}/a.js\">", assets.hash));
        assert_eq!(assets.files.keys().collect::<Vec<_>>(), ["a.js"]);
    }

    #[test]
    fn the_best_accepted_encoding_is_taken() {
        let preferred = |values: &[&'static str]| {
            Encoding::preferred(
                &values.iter().map(|value| (ACCEPT_ENCODING, HeaderValue::from_static(value))).collect(),
            )
        };
        assert_eq!(preferred(&["gzip, deflate, br, zstd"]), Encoding::Brotli);
        assert_eq!(preferred(&["gzip", "BR;q=0.1"]), Encoding::Brotli);
        assert_eq!(preferred(&["br;q=0, gzip"]), Encoding::Gzip);
        assert_eq!(preferred(&["br;q=0.000, gzip;q=0"]), Encoding::Identity);
        assert_eq!(preferred(&["*"]), Encoding::Identity);
        assert_eq!(preferred(&[]), Encoding::Identity);
    }

    #[test]
    fn a_file_is_compressed_where_that_makes_it_shorter() {
        let long = "function f() { return 1 }\n".repeat(50);
        let script = Asset::of("a.js", long.clone().into_bytes()).unwrap();
        for encoding in [Encoding::Brotli, Encoding::Gzip] {
            let (as_sent, bytes) = script.encoded(encoding);
            assert_eq!(as_sent, encoding);
            assert!(bytes.len() < long.len() / 5, "{}", bytes.len());
            assert_eq!(Asset::of("a.js", b"1".to_vec()).unwrap().encoded(encoding).0, Encoding::Identity);
            assert_eq!(Asset::of("a.png", vec![b'x'; 1_000]).unwrap().encoded(encoding).0, Encoding::Identity);
        }
    }
}
