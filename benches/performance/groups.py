"""The jobs: which servers a group starts, what is in them, and what it measures."""

import os
import random
import subprocess
import time

from . import bare, openbao, openfga, postgres, programs
from .measures import Measure, alternate, of_rate, of_target, summary
from .processes import Workspace, environment, resident, say
from .vault import Data, Full, start_embedded

SESSION = 20


class Run:
    """One run of the script: its options and the programs of both sides."""

    def __init__(self, options, program):
        self.options, self.program, self.bao = options, program, programs.openbao()
        self.random = random.Random(1)
        # Nothing but a value of this run ends like this.
        self.mark = os.urandom(8).hex()
        self.projects = 50 if options.quick else 1000
        self.agents = 20 if options.quick else 100

    def data(self):
        return Data(self.projects, SESSION, self.agents, self.mark)

    def pages(self):
        """Projects with more than one page of entries."""
        return Data(20, 60, self.agents, self.mark, "page")

    def wanted(self, key):
        words = self.options.words
        return not words or any(word == key.split(".")[0] or word in key for word in words)

    def measure(self, measures, workspace):
        """Those of the measures that the words on the command line name."""
        chosen = [measure for measure in measures if self.wanted(measure.key)]
        alternate(chosen, workspace, self.options.rounds, self.options.seconds)
        return {measure.key: summary(measure) for measure in chosen}


def recorded(measures, sides):
    """For each side, the values that its answers held and the records of them. `sides` gives the keys of
    a side's measures and the function that counts its records."""
    found = {}
    for side, (keys, count) in sides.items():
        released = sum(measure.released() for measure in measures if measure.key in keys)
        if released:
            found[side] = {"released": released, "records": count()}
    return found


def timed(what, work):
    began = time.monotonic()
    work()
    say(f"{what}: {time.monotonic() - began:.1f} s")


def load_vault(run, vault, name):
    vault.organize(run.agents)
    timed(f"{name}: {run.projects} projects of {SESSION} entries", lambda: vault.load(run.data()))
    timed(f"{name}: 20 projects of 60 entries", lambda: vault.load(run.pages()))


def memory(servers):
    """Resident memory by server, in MiB: now, and at its highest."""
    sizes = {name: resident(pid) for name, pid in servers.items()}
    return {name: {"now": now, "peak": peak} for name, (now, peak) in sizes.items()}


def disk(group, workspace):
    """How often the disk syncs a write, in each round anew: on a shared machine it changes."""
    rate = lambda _: postgres.fdatasyncs(workspace.path)
    return of_rate(f"{group}.disk", "the disk alone, fdatasync of 8 KiB", rate)


def embedded(run):
    """SQLite and the embedded authorizer, beside OpenBao on raft and the bare GraphQL stack."""
    data, workspace = run.data(), Workspace(run.options.keep_logs)
    with workspace:
        vault = start_embedded(workspace, run.program)
        before = memory({"vault": vault.process.pid})
        load_vault(run, vault, "vault")
        servers = {"the vault, embedded": vault.process.pid}
        of = lambda key, label, target, values=0: of_target(f"embedded.{key}", label, target, workspace, values=values)
        measures = [of("one", "vault, embedded, one secret", vault.one_secret(data), 1)]
        sides = {"the vault, embedded": (["embedded.one", "embedded.session"], vault.records)}
        if run.bao and run.wanted("embedded.raft"):
            raft = openbao.on_raft(workspace)
            timed("OpenBao on raft: the same entries", lambda: raft.load(data))
            servers["OpenBao on raft"] = raft.process.pid
            measures.append(of("raft", "OpenBao on raft, one read", raft.one_secret(data), 1))
            sides["OpenBao on raft"] = (["embedded.raft"], raft.records)
        if not run.options.no_examples:
            stack = bare.Bare(workspace)
            measures.append(of("bare", "bare stack, the same operation with a constant answer", stack.same_operation(vault, data)))
            recording = bare.Bare(workspace, records=True)
            label = "bare stack, the same operation with a constant answer and a durable record"
            measures.append(of("recording", label, recording.same_operation(vault, data)))
            measures.append(of("answer", "bare stack, { answer }", stack.answer()))
        measures += [
            of("session", f"vault, embedded, session start of {SESSION}", vault.session(data), SESSION),
            of("page", "vault, embedded, page of 50 masked entries", vault.page(run.pages())),
            of("entities", "vault, embedded, _entities of 20 projects", vault.entities(data, 20, run.random)),
            disk("embedded", workspace),
        ]
        found = run.measure(measures, workspace)
        sizes = {"the vault, embedded, empty": before["vault"], **memory(servers)}
        return {"measures": found, "memory": sizes, "records": recorded(measures, sides)}


def full(run):
    """PostgreSQL and OpenFGA, beside OpenBao on PostgreSQL, OpenFGA alone, and what PostgreSQL commits."""
    data, workspace = run.data(), Workspace(run.options.keep_logs)
    with workspace:
        database = postgres.Postgres(workspace, "postgres")
        database.prepare_commits()
        fga = openfga.OpenFga(workspace, database.create("openfga"))
        setup = Full(workspace, run.program, database.create("vault"), fga.url())
        strict, cached = setup.serve(), setup.serve(max_age_ms=1000)
        load_vault(run, strict, "vault")
        database.settle()
        servers = {
            "the vault, full": strict.process.pid, "OpenFGA": fga.process.pid,
            "PostgreSQL of the vault and OpenFGA": database.process.pid,
        }
        of = lambda key, label, target, values=0: of_target(f"full.{key}", label, target, workspace, values=values)
        sides = {"the vault, full": (["full.one", "full.cached", "full.session"], lambda: strict.records(setup.env))}
        # A hundred agents in their sessions: the same hundred questions again and again.
        sessions = cached.one_secret(data, "sessions", projects=range(run.agents))
        measures = [
            of("one", "vault, full, strict, one secret", strict.one_secret(data), 1),
            of("openfga", "OpenFGA alone, the same two checks over HTTP", fga.two_checks(data)),
            of("cached", f"vault, full, decisions up to 1 s old, one secret, {run.agents} agents", sessions, 1),
        ]
        if not run.options.no_examples:
            measures.append(Measure("full.grpc", "OpenFGA alone, the same two checks over gRPC", fga.over_grpc(data)))
        if run.bao:
            for key, tuned in (("postgres", False), ("tuned", True)):
                if not run.wanted(f"full.{key}"):
                    continue
                name = f"openbao-{key}"
                # A database server of its own, which none of the vault's work touches.
                own = postgres.Postgres(workspace, f"postgres-of-{name}")
                bao = openbao.on_postgres(workspace, own.create("openbao"), name, tuned)
                label = "OpenBao on PostgreSQL, " + ("tuned" if tuned else "as it comes")
                timed(f"{label}: the same entries", lambda: bao.load(data))
                own.settle()
                servers[label] = bao.process.pid
                servers[f"PostgreSQL of {label}"] = own.process.pid
                measures.append(of(key, f"{label}, one read", bao.one_secret(data), 1))
                sides[label] = ([f"full.{key}"], bao.records)
        measures += [
            of("session", f"vault, full, strict, session start of {SESSION}", strict.session(data), SESSION),
            of("page", "vault, full, strict, page of 50 masked entries", strict.page(run.pages())),
            of("entities", "vault, full, strict, _entities of 20 projects", strict.entities(data, 20, run.random)),
            of_rate("full.commits", "PostgreSQL alone, commits of one row (pgbench)", database.commits),
            disk("full", workspace),
        ]
        found = run.measure(measures, workspace)
        return {"measures": found, "memory": memory(servers), "records": recorded(measures, sides)}


def versions(run):
    """The programs that were measured."""
    first = lambda *command: subprocess.run(command, capture_output=True, text=True, env=environment()).stdout.split("\n")[0]
    found = [first(run.program, "--version"), first(postgres.bin_dir() / "postgres", "--version")]
    found.append(f"OpenFGA {programs.OPENFGA_VERSION}")
    return found + ([first(run.bao, "version")] if run.bao else [])
