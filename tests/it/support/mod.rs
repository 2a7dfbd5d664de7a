//! Support for the tests: a vault of its own for each test, on either backend, and helpers to use
//! it.

mod api;
mod cluster;
mod collector;
mod counter;
mod database;
mod demo;
mod gate;
mod hot;
mod openfga;
mod program;
mod proxy;
mod world;

pub use api::{Answer, ask};
pub use cluster::{Cluster, as_database_user, family, free_port, give_to_database_user, signal};
pub use collector::{Collector, CollectorFault, ReceivedSpan};
pub use counter::Sent;
pub use database::{Backend, Database, setting};
pub use demo::{agent_asks, entry, names, new_project, runtime, service, tool_asks, user};
pub use gate::Gate;
pub use hot::{Hot, hot};
pub use openfga::OpenFgaServer;
pub use program::{Installation, Ran, Running, run};
pub use proxy::{Fault, Proxy};
pub use world::{World, in_time, openfga_url, vault_events};

/// Makes two tests of each function, one on each backend: `name::sqlite` and `name::postgres`.
macro_rules! both {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: World) $body:block)+) => {$(
        async fn $name($world: $crate::support::World) $body

        $(#[$meta])*
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::support::in_time($crate::support::Backend::Sqlite, super::$name).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::support::in_time($crate::support::Backend::Postgres, super::$name).await;
            }
        }
    )+};
}

/// As `both!`, for functions that make what they need.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::support::Backend::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name($crate::support::Backend::Postgres).await;
            }
        }
    )+};
}
