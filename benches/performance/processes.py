"""Starts servers on free loopback ports with their data on disk, and stops all of them."""

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 60
STOP_TIMEOUT = 30
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# A measurement of fsync in memory would flatter whoever syncs most.
MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def as_root(*command):
    return list(command) if os.getuid() == 0 else ["sudo", *command]


def install(package):
    """Installs a missing Debian package."""
    say(f"installing {package}")
    subprocess.run(as_root("apt-get", "update", "-q"), check=True, stdout=sys.stderr)
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-q", "-y", "--no-install-recommends", package]
    subprocess.run(as_root(*command), check=True, stdout=sys.stderr)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def file_system(path):
    """The type of the file system that holds `path`."""
    path, found = str(Path(path).resolve()), ("", "")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        if (path + "/").startswith(mount.rstrip("/") + "/") and len(mount) >= len(found[0]):
            found = (mount, kind)
    return found[1]


def wait_until(ready, what, process=None, timeout=START_TIMEOUT):
    end = time.monotonic() + timeout
    while not ready():
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode}:{log_tail(process)}")
        if time.monotonic() > end:
            raise RuntimeError(f"{what} is not ready after {timeout} s:{log_tail(process)}")
        time.sleep(0.05)


def log_tail(process):
    """The end of a server's log, which is removed with its directory."""
    log = getattr(process, "log", None)
    return "\n" + "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log else ""


def answers(port, path, statuses=(200,)):
    """Whether a server on loopback answers `path` with one of these statuses."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status in statuses
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


class Workspace(contextlib.ExitStack):
    """A temporary directory on disk, and every server that runs in it. Closing it stops the servers,
    last started first, and removes the directory."""

    def __init__(self, keep_logs=None):
        super().__init__()
        self.servers = {}
        parent = os.environ.get("BENCH_DIR", "/var/tmp")
        if (kind := file_system(parent)) in MEMORY_FILE_SYSTEMS:
            sys.exit(f"{parent} is in memory ({kind}); set BENCH_DIR to a directory on disk")
        self.path = Path(tempfile.mkdtemp(prefix="vault-bench-", dir=parent))
        # PostgreSQL runs as a user of its own and has to reach its directory.
        self.path.chmod(0o755)
        self.callback(shutil.rmtree, self.path, ignore_errors=True)
        if keep_logs:
            self.callback(self._keep_logs, Path(keep_logs))

    def __exit__(self, *failure):
        # A second Ctrl-C would leave servers running.
        handlers = {number: signal.signal(number, signal.SIG_IGN) for number in STOP_SIGNALS}
        try:
            return super().__exit__(*failure)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _keep_logs(self, target):
        target.mkdir(parents=True, exist_ok=True)
        for log in self.path.glob("*.log"):
            shutil.copy(log, target)

    def folder(self, name):
        path = self.path / name
        path.mkdir()
        return path

    def start(self, name, command, env=None, stop=signal.SIGTERM, **options):
        """Starts a server. A session of its own keeps Ctrl-C away from it: it is stopped in order."""
        log = self.path / f"{name}.log"
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=environment(env), cwd=self.path, start_new_session=True, **options,
            )
        process.log = log
        self.servers[name] = process
        self.callback(stop_process, process, stop)
        return process


    def processor_times(self):
        """The processor time that each running server has taken so far, in seconds; of PostgreSQL, for
        each database apart."""
        found = {}
        for name, process in self.servers.items():
            if process.poll() is None:
                found.update(processor_times(name, process.pid))
        return found


def environment(extra=None):
    """No setting of the caller's shell reaches a server."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **{name: str(value) for name, value in (extra or {}).items()}}


def stop_process(process, how=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def resident(pid):
    """Resident memory of a process and its children in MiB, and the highest so far. The first counts a
    page that processes share once; the second is known of a process alone."""
    family = [pid, *children(pid)]
    now = sum(kibibytes(process, "smaps_rollup", "Pss") for process in family)
    return now / 1024, kibibytes(pid, "status", "VmHWM") / 1024 if len(family) == 1 else None


def processor_times(name, pid):
    """The processor time of a server and its children, also of those that have ended, in seconds."""
    found = {name: sum(cpu_ticks(pid))}
    for child in children(pid):
        of = name
        with contextlib.suppress(OSError):
            # PostgreSQL gives each of its processes a title, such as `postgres: USER DATABASE ADDRESS`.
            title = Path(f"/proc/{child}/cmdline").read_text()
            if backend := re.match(r"postgres: \S+ (\S+) [\d.]+\(", title):
                of = f"{name}, database {backend[1]}"
        found[of] = found.get(of, 0) + sum(cpu_ticks(child)[:2])
    return {of: ticks / os.sysconf("SC_CLK_TCK") for of, ticks in found.items()}


def cpu_ticks(pid):
    """utime, stime, cutime and cstime of a process, by proc(5); zeros when it has ended."""
    with contextlib.suppress(OSError):
        # The name, in parentheses, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return [int(field) for field in fields[11:15]]
    return [0, 0, 0, 0]


def kibibytes(pid, file, field):
    """A field of a process's file under /proc; 0 when the process has ended."""
    with contextlib.suppress(OSError):
        if found := re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE):
            return int(found[1])
    return 0


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


def stop_on_signals():
    """SIGTERM and SIGHUP end the script as Ctrl-C does, so that it stops its servers."""

    def interrupt(*_):
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)
