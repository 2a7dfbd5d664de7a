//! A disk that is full: nothing is changed or released until there is space again.

use super::load::{LONGEST_WAIT, Load, Row, Watch, report};
use crate::support::{Backend, Cluster, Database, Installation};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long the disk stays full.
const FULL: Duration = Duration::from_secs(4);

/// A small filesystem.
struct Disk {
    folder: TempDir,
}

/// Mounting takes root; where this is somebody else, sudo without a password.
fn as_root(args: &[&str]) {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let args = if is_root { args.to_vec() } else { [&["sudo", "-n"], args].concat() };
    let status = Command::new(args[0]).args(&args[1..]).status().unwrap();
    assert!(status.success(), "{args:?}: a test needs to mount a small filesystem");
}

impl Disk {
    fn of(mebibytes: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let options = format!("size={mebibytes}m,mode=0777");
        as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", folder.path().to_str().unwrap()]);
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Fills what is free.
    fn fill(&self) {
        let mut file = std::fs::File::options().create(true).append(true).open(self.ballast()).unwrap();
        for size in [64 * 1024, 4096] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        as_root(&["umount", "-l", self.path().to_str().unwrap()]);
    }
}

async fn a_full_disk_delays_and_loses_nothing(backend: Backend) {
    // Of the disk and what is on it, the disk goes last.
    let disk = Disk::of(if backend == Backend::Sqlite { 24 } else { 200 });
    let mut cluster = None;
    let database = match backend {
        Backend::Sqlite => Database::at(&format!("sqlite:{}", disk.path().join("vault.db").display())),
        Backend::Postgres => {
            let folder = disk.path().join("cluster");
            std::fs::create_dir(&folder).unwrap();
            let started = cluster.insert(Cluster::start_in(&folder).await);
            Database::at(&started.create("vault").await)
        }
    };
    let it = Arc::new(Installation::with(backend, database, &[]).await);
    let server = it.serve("warn", &it.file("log")).await;
    let mut load = Load::start(&it, &[&server], 8, Duration::from_millis(20)).await;
    load.recovery(&server).await;
    let mut rows = Vec::new();
    for time in ["first", "second"] {
        load.take_waits();
        let watch = Watch::of(&server);
        let (changes, releases) = (load.acknowledged(), load.releases());
        disk.fill();
        // What is acknowledged meanwhile found room in pages that had some.
        tokio::time::sleep(FULL).await;
        disk.fill();
        let filled = Instant::now();
        while !watch.seen().unready.contains("database") {
            assert!(filled.elapsed() < Duration::from_secs(30), "/readyz does not name the database");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let seen = watch.seen();
        let (_, meanwhile) = load.take_waits();
        disk.free();
        if let Some(cluster) = &mut cluster {
            // PostgreSQL itself may have given up.
            cluster.start().await;
        }
        let recovery = load.recovery(&server).await;
        let (longest, codes) = load.take_waits();
        println!("{backend:?}: {longest:?} {recovery:?} {:?} {meanwhile:?} {codes:?}", seen.unready);
        assert!(meanwhile.contains_key("UNAVAILABLE"), "the disk was not full: {meanwhile:?}");
        assert!(meanwhile.keys().chain(codes.keys()).all(|code| code == "UNAVAILABLE"), "{meanwhile:?} {codes:?}");
        assert!(longest < LONGEST_WAIT, "a call took {longest:?}");
        assert!(seen.problems.is_empty(), "{:?}", seen.problems);
        rows.push((time, load.acknowledged() - changes, load.releases() - releases, longest, recovery));
    }
    load.stop().await;
    load.check(&server).await;
    drop(server);
    let disk_of = if backend == Backend::Sqlite { "SQLite" } else { "PostgreSQL" };
    for (time, changes, releases, longest, recovery) in rows {
        report(&[Row {
            fault: &format!("a full disk for 4 s ({disk_of})"),
            tried: &format!("{time} of two times, under load"),
            changes,
            releases,
            longest,
            recovery: Some(recovery),
        }]);
    }
}

on_both! { a_full_disk_delays_and_loses_nothing }
