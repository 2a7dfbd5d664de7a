//! The metrics of the process, by the names that Prometheus' own clients give them.

use crate::measures::{Kind, declare};

const CPU: &str = "process_cpu_seconds_total";
const OPEN_FDS: &str = "process_open_fds";
const MAX_FDS: &str = "process_max_fds";
const RESIDENT: &str = "process_resident_memory_bytes";
const VIRTUAL: &str = "process_virtual_memory_bytes";
const THREADS: &str = "process_threads";
const STARTED: &str = "process_start_time_seconds";

/// Declares the metrics of the process.
pub(super) fn declare_metrics() {
    declare(Kind::Counter, CPU, "User and system processor time that the process has taken, in whole seconds.", &[]);
    declare(Kind::Gauge, OPEN_FDS, "Open file descriptors.", &[]);
    declare(Kind::Gauge, MAX_FDS, "Maximum number of open file descriptors.", &[]);
    declare(Kind::Gauge, RESIDENT, "Resident memory in bytes.", &[]);
    declare(Kind::Gauge, VIRTUAL, "Virtual memory in bytes.", &[]);
    declare(Kind::Gauge, THREADS, "Threads.", &[]);
    declare(Kind::Gauge, STARTED, "When the process started, in seconds since the Unix epoch.", &[]);
}

/// Reads them from the kernel. What cannot be read keeps its value.
#[cfg(target_os = "linux")]
pub(super) fn measure() {
    use procfs::process::{LimitValue, Process};

    fn set(name: &'static str, value: u64) {
        #[allow(clippy::cast_precision_loss, reason = "metrics are floating point")]
        metrics::gauge!(name).set(value as f64);
    }
    let Ok(process) = Process::myself() else { return };
    if let Ok(stat) = process.stat() {
        // Counters hold whole numbers.
        metrics::counter!(CPU).absolute((stat.utime + stat.stime) / procfs::ticks_per_second());
        set(RESIDENT, stat.rss.saturating_mul(procfs::page_size()));
        set(VIRTUAL, stat.vsize);
        set(THREADS, u64::try_from(stat.num_threads).unwrap_or_default());
        if let Ok(booted) = procfs::boot_time_secs() {
            set(STARTED, booted + stat.starttime / procfs::ticks_per_second());
        }
    }
    if let Ok(open) = process.fd_count() {
        set(OPEN_FDS, open as u64);
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        set(MAX_FDS, most);
    }
}

/// Only Linux tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn measure() {}
