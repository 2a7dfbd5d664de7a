//! A TCP proxy in front of a server, with the faults of a network.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// What is wrong with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Everything arrives this much later.
    Latency(Duration),
    /// Connections are accepted, and what is sent is never answered: not even after the fault, as
    /// by a peer that lost its state.
    HalfOpen,
    /// Nothing is accepted and nothing arrives until the fault ends.
    BlackHole,
    /// Connections are cut after a tenth of a second or less, in the midst of what they carry.
    Cut,
    /// Connections are cut and refused, as while a server is down.
    Refused,
}

/// A proxy to one server. It stops with its value.
pub struct Proxy {
    /// Where it listens, as `HOST:PORT`.
    pub address: String,
    fault: watch::Sender<Fault>,
}

impl Proxy {
    /// A proxy to `HOST:PORT`, without a fault.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (fault, now) = watch::channel(Fault::None);
        tokio::spawn(accept(listener, address, server.to_owned(), now));
        Self { address: address.to_string(), fault }
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

async fn accept(listener: TcpListener, address: SocketAddr, server: String, mut fault: watch::Receiver<Fault>) {
    let mut listener = Some(listener);
    // Keeps the port while nothing listens on it.
    let mut placeholder: Option<TcpSocket> = None;
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Refused {
            listener = None;
            placeholder.get_or_insert_with(|| bound(address));
        } else if listener.is_none() {
            placeholder = None;
            listener = Some(bound(address).listen(1024).unwrap());
        }
        let accepted = async {
            match &listener {
                Some(listener) if now != Fault::BlackHole => listener.accept().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = fault.changed() => if changed.is_err() { return },
            Ok((client, _)) = accepted => drop(tokio::spawn(carry(client, server.clone(), fault.clone()))),
        }
    }
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn carry(mut client: TcpStream, server: String, fault: watch::Receiver<Fault>) {
    if *fault.borrow() == Fault::HalfOpen {
        let mut bytes = [0; 4096];
        while let Ok(1..) = client.read(&mut bytes).await {}
        return;
    }
    let Ok(server) = TcpStream::connect(&server).await else { return };
    let (_same, _same_too) = (client.set_nodelay(true), server.set_nodelay(true));
    let life = u64::from(client.peer_addr().map_or(0, |peer| peer.port()) % 100);
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        () = pass(from_client, to_server, fault.clone()) => {}
        () = pass(from_server, to_client, fault.clone()) => {}
        () = cut(fault, Duration::from_millis(life)) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut fault: watch::Receiver<Fault>) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        loop {
            let now = *fault.borrow_and_update();
            match now {
                Fault::BlackHole => {
                    if fault.changed().await.is_err() {
                        return;
                    }
                    continue;
                }
                Fault::HalfOpen => {
                    while let Ok(1..) = from.read(&mut bytes).await {}
                    return;
                }
                Fault::Latency(late) => tokio::time::sleep(late).await,
                Fault::None | Fault::Cut | Fault::Refused => {}
            }
            break;
        }
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// Returns when the connection is to be cut.
async fn cut(mut fault: watch::Receiver<Fault>, life: Duration) {
    match fault.wait_for(|now| matches!(now, Fault::Cut | Fault::Refused)).await.map(|now| *now) {
        Ok(Fault::Cut) => tokio::time::sleep(life).await,
        Ok(_) => {}
        // The proxy is gone.
        Err(_) => {}
    }
}
