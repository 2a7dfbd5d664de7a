//! Connecting to one of several servers, of which some may hang.

use super::tls::MakeTls;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_postgres::config::{Host, LoadBalanceHosts, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Connection, Error, Socket};

/// How long a server may take to answer before the next one is tried beside it. The driver itself
/// would wait for a server whose processes are suspended, and never come to the others.
const HEAD_START: Duration = Duration::from_secs(1);

type Connected = (Client, Connection<Socket, super::tls::Encrypted<Socket>>);

/// Connects to the first server that answers, of those that the configuration names. `last` is the
/// index of the server that answered last: if the configuration wants the one that can be written
/// to, it is tried first.
///
/// # Errors
/// That of the server that failed last.
pub async fn connect(config: &Config, tls: &MakeTls, last: &AtomicUsize) -> Result<Connected, Error> {
    let count = config.get_hosts().len().max(config.get_hostaddrs().len());
    let is_random = config.get_load_balance_hosts() == LoadBalanceHosts::Random;
    let lengths = [config.get_hosts().len(), config.get_hostaddrs().len(), config.get_ports().len()];
    // The driver says what is wrong with lists that do not match.
    let matches = lengths.iter().all(|length| [0, 1, count].contains(length));
    if count < 2 || is_random || !matches {
        return config.connect(tls.clone()).await;
    }
    let first = match config.get_target_session_attrs() {
        TargetSessionAttrs::ReadWrite => last.load(Ordering::Relaxed),
        _ => 0,
    };
    let mut next = (0..count).map(|index| (first + index) % count);
    let mut attempts = FuturesUnordered::new();
    loop {
        if let Some(index) = next.next() {
            let (one, tls) = (of_one(config, index), tls.clone());
            attempts.push(async move { (index, one.connect(tls).await) });
        }
        let may_start = next.len() > 0;
        tokio::select! {
            Some((index, answer)) = attempts.next() => match answer {
                Ok(connected) => {
                    last.store(index, Ordering::Relaxed);
                    return Ok(connected);
                }
                // The driver tells what is wrong with the configuration.
                failed if attempts.is_empty() && !may_start => return failed,
                Err(_) => {}
            },
            () = tokio::time::sleep(HEAD_START), if may_start => {}
        }
    }
}

/// The configuration with one of its servers.
fn of_one(config: &Config, index: usize) -> Config {
    let mut one = Config::new();
    if let Some(user) = config.get_user() {
        one.user(user);
    }
    if let Some(password) = config.get_password() {
        one.password(password);
    }
    if let Some(name) = config.get_dbname() {
        one.dbname(name);
    }
    if let Some(options) = config.get_options() {
        one.options(options);
    }
    if let Some(name) = config.get_application_name() {
        one.application_name(name);
    }
    if let Some(limit) = config.get_connect_timeout() {
        one.connect_timeout(*limit);
    }
    if let Some(limit) = config.get_tcp_user_timeout() {
        one.tcp_user_timeout(*limit);
    }
    if let Some(interval) = config.get_keepalives_interval() {
        one.keepalives_interval(interval);
    }
    if let Some(retries) = config.get_keepalives_retries() {
        one.keepalives_retries(retries);
    }
    one.keepalives(config.get_keepalives()).keepalives_idle(config.get_keepalives_idle());
    one.ssl_mode(config.get_ssl_mode()).ssl_negotiation(config.get_ssl_negotiation());
    one.channel_binding(config.get_channel_binding()).target_session_attrs(config.get_target_session_attrs());
    match config.get_hosts().get(index) {
        Some(Host::Tcp(host)) => {
            one.host(host);
        }
        Some(Host::Unix(folder)) => {
            one.host_path(folder);
        }
        None => {}
    }
    if let Some(address) = config.get_hostaddrs().get(index) {
        one.hostaddr(*address);
    }
    if let Some(port) = config.get_ports().get(index).or_else(|| config.get_ports().first()) {
        one.port(*port);
    }
    one
}
