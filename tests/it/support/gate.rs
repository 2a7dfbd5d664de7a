//! A TCP proxy that can stop forwarding, to imitate a server that neither answers nor closes its
//! connections.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A proxy in front of one server. It passes nothing on while it is shut.
pub struct Gate {
    /// Where it listens, as `http://ADDRESS`.
    pub url: String,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A proxy to `http://ADDRESS`, open at first.
    pub async fn to(url: &str) -> Self {
        let server = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else { continue };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(pass(from_client, to_server, is_open.clone()));
                tokio::spawn(pass(from_server, to_client, is_open.clone()));
            }
        });
        Self { url, open }
    }

    /// Passes nothing on until [`Self::open`].
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// Passes everything on, what waited included.
    pub fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut is_open: watch::Receiver<bool>) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if is_open.wait_for(|open| *open).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
