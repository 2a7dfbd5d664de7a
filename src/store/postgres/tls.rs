//! TLS to PostgreSQL, with rustls.

use crate::domain::{PemBlock, pem_blocks};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Stream;

/// The servers that are trusted.
#[derive(Clone, Copy)]
pub enum Trust<'a> {
    /// Servers with a certificate for their name, from an authority in this file, or without a file
    /// from one of the system's.
    Verified(Option<&'a Path>),
    /// Any server.
    Anybody,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Encrypts the driver's connections.
#[derive(Clone)]
pub struct MakeTls(Arc<ClientConfig>);

impl MakeTls {
    pub fn new(trust: Trust<'_>) -> Result<Self, Failure> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match trust {
            Trust::Verified(path) => {
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots(path)?), provider.clone()).build()?
            }
            Trust::Anybody => Arc::new(Unverified(provider.clone())),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }
}

fn roots(path: Option<&Path>) -> Result<RootCertStore, Failure> {
    let mut store = RootCertStore::empty();
    match path {
        Some(path) => {
            let unread = |problem: &dyn std::fmt::Display| format!("sslrootcert {}: {problem}", path.display());
            // Comments in a bundle may be in any encoding.
            let text = std::fs::read(path).map_err(|error| unread(&error))?;
            let text = String::from_utf8_lossy(&text);
            let blocks = pem_blocks(&text).ok_or_else(|| unread(&"holds a block of PEM without its end"))?;
            if blocks.iter().any(PemBlock::has_trust_settings) {
                let problem = "holds a TRUSTED CERTIFICATE, whose settings of trust are not read; convert it with \
                    `openssl x509`, or name a file of plain certificates";
                return Err(unread(&problem).into());
            }
            for block in blocks.iter().filter(|block| block.is_certificate()) {
                let der = block.decode().ok_or_else(|| unread(&"a certificate in it is not Base64"))?;
                store.add(der.to_vec().into()).map_err(|error| unread(&error))?;
            }
            if store.is_empty() {
                return Err(unread(&"holds no certificate in PEM").into());
            }
        }
        // A certificate that cannot be read is skipped.
        None => drop(store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    Ok(store)
}

/// Accepts every certificate, but requires that the server proves that it holds the key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for MakeTls {
    type Stream = Encrypted<S>;
    type TlsConnect = Connect;
    type Error = rustls::pki_types::InvalidDnsNameError;

    /// The driver asks for a connector before it knows whether it needs one, with an empty name for
    /// a Unix socket. A connection without a name to verify is never encrypted.
    fn make_tls_connect(&mut self, host: &str) -> Result<Connect, Self::Error> {
        let name = Some(host).filter(|host| !host.is_empty()).map(ServerName::try_from).transpose()?;
        Ok(Connect { config: self.0.clone(), name: name.map(|name| name.to_owned()) })
    }
}

/// Encrypts one connection.
pub struct Connect {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connect {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name =
                self.name.ok_or_else(|| io::Error::other("the URL names no host whose certificate is verified"))?;
            Ok(Encrypted(TlsConnector::from(self.config).connect(name, stream).await?))
        })
    }
}

/// An encrypted connection.
pub struct Encrypted<S>(Stream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    /// Passwords are not bound to the TLS channel: a verified certificate protects as much.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
