"""A PostgreSQL cluster of a run's own, with fsync on, and what the disk and the database can do alone."""

import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

from .processes import environment, free_port, install, wait_until

# Both sides open more connections than the default of 100 allows. Everything else is as it comes.
MAX_CONNECTIONS = 400


def bin_dir():
    """The newest PostgreSQL installed; installs one if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found:
        install("postgresql")
        return bin_dir()
    return found[-1].parent


def as_postgres():
    """initdb and postgres refuse to run as root."""
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("postgres")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


class Postgres:
    """A running cluster on loopback."""

    def __init__(self, workspace, name):
        self.workspace, self.name, self.bin, self.port = workspace, name, bin_dir(), free_port()
        data = workspace.folder(name)
        if os.getuid() == 0:
            shutil.chown(data, "postgres", "postgres")
        initdb = [self.bin / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        done = subprocess.run(initdb, cwd=workspace.path, capture_output=True, text=True, env=environment(), **as_postgres())
        if done.returncode:
            raise RuntimeError(f"initdb: {done.stderr}")
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "",
            "max_connections": MAX_CONNECTIONS, "fsync": "on", "synchronous_commit": "on",
        }
        options = [part for setting, value in settings.items() for part in ("-c", f"{setting}={value}")]
        # SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        self.process = workspace.start(
            name, [self.bin / "postgres", "-D", data, *options], stop=signal.SIGINT, **as_postgres()
        )
        wait_until(self.ready, "PostgreSQL", self.process)

    def url(self, database, options=""):
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}{options}"

    def ready(self):
        command = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, env=environment()).returncode == 0

    def sql(self, text, database="postgres"):
        command = [self.bin / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-c", text]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout.strip()

    def create(self, database):
        self.sql(f"CREATE DATABASE {database}")
        return self.url(database)

    def settle(self):
        """What autovacuum does a minute or so after loading: until then, plans are made without statistics,
        and a measure depends on whether it came before or after."""
        command = [self.bin / "vacuumdb", "--all", "--analyze", "--quiet", "-U", "postgres", "-h", "127.0.0.1", "-p", str(self.port)]
        subprocess.run(command, check=True, capture_output=True, env=environment())

    def prepare_commits(self):
        self.create("commits")
        self.sql("CREATE TABLE one_row (id bigserial PRIMARY KEY, note text NOT NULL)", "commits")
        self.script = self.workspace.path / "commit.sql"
        self.script.write_text("INSERT INTO one_row (note) VALUES ('one row in a transaction of its own');\n")
        self.script.chmod(0o644)

    def commits(self, seconds, connections=16):
        """Commits of one row a second, by pgbench."""
        command = [
            self.bin / "pgbench", "-n", "-M", "prepared", "-j", "1", "-c", str(connections),
            "-T", str(max(1, round(seconds))), "-f", self.script, self.url("commits"),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
        return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])


def fdatasyncs(folder):
    """How often in a second the disk writes 8 KiB and syncs it, by pg_test_fsync."""
    file = folder / "fsync-test"
    command = [bin_dir() / "pg_test_fsync", "-s", "1", "-f", file]
    # Its first section, of one 8 KiB write, is enough; the others take a minute.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1) as process:
        try:
            for line in process.stdout:
                if found := re.match(r"\s*fdatasync\s+([\d.]+) ops/sec", line):
                    return float(found[1])
        finally:
            process.kill()
            file.unlink(missing_ok=True)
    raise RuntimeError("pg_test_fsync reported no fdatasync")
