"""How the time of one secret grows with what is stored, and the rate with the connections. Each sweep
starts from empty servers and adds to them between its steps."""

import contextlib
import time

from . import openbao, openfga, postgres
from .client import in_parallel
from .measures import alternate, of_target, summary
from .processes import Workspace, say
from .vault import Data, Full, start_embedded

# Requests drawn from: more than a step sends, so that hardly one is sent twice.
DRAWN = 20_000
ENTRIES_EACH = 100
TUPLES_EACH = 100
SIZES = [1, 10, 50, 100, 250, 500]
CONNECTIONS = [1, 2, 4, 8, 16, 32, 64, 128, 256]
TICKS = [1, 4, 16, 64, 256]


def powers(low, high):
    """low, 10 low, ... up to high."""
    found = []
    while low <= high:
        found.append(low)
        low *= 10
    return found


class Side:
    """One shape of the vault in servers of its own; OpenFGA and PostgreSQL only where they are used."""

    def __init__(self, vault, fga=None, database=None):
        self.vault, self.fga, self.database = vault, fga, database

    def load(self, data, projects=None):
        self.vault.load(data, projects)
        if self.database:
            self.database.settle()


@contextlib.contextmanager
def started(run, shape):
    with Workspace(run.options.keep_logs) as workspace:
        if shape == "embedded":
            side = Side(start_embedded(workspace, run.program))
        else:
            database = postgres.Postgres(workspace, "postgres")
            fga = openfga.OpenFga(workspace, database.create("openfga"))
            side = Side(Full(workspace, run.program, database.create("vault"), fga.url()).serve(), fga, database)
        side.vault.organize(run.agents)
        yield side, workspace


def step(run, key, label, target, workspace, connections=1):
    """One point: the median of the rounds."""
    measure = of_target(key, label, target, workspace, connections)
    alternate([measure], workspace, run.options.rounds, run.options.seconds)
    for file in target.files:
        file.unlink()
    return summary(measure)


def latency(summary):
    """A point of the median answer's time, in milliseconds."""
    each = [result["p50_ms"] for result in summary["rounds"]]
    return summary["p50_ms"], min(each), max(each)


def rate(summary):
    return summary["rate"], summary["min"], summary["max"]


def drawn(run, vault, data):
    """Secrets drawn from all that are there."""
    pairs = data.projects * data.entries
    places = run.random.sample(range(pairs), min(DRAWN, pairs))
    target = vault.one_secret(data, projects=[], entries=[])
    for place in places:
        project, entry = divmod(place, data.entries)
        target.requests += vault.one_secret(data, projects=[project], entries=[entry]).requests
    return target


class Growth:
    """The sweeps of one run, and what they found."""

    def __init__(self, run):
        self.run, self.plots, self.imports, self.measures = run, [], {}, {}
        self.entries = 1000 if run.options.quick else run.options.entries

    def shapes(self):
        return ["embedded", "full"]

    def data(self, projects, entries, prefix="p"):
        return Data(projects, entries, self.run.agents, self.run.mark, prefix)

    def stored(self, name, steps, each):
        """Grows the number of projects with `each` entries; gives the points, and how fast they came in."""
        points, speed = {}, {}
        for shape in self.shapes():
            with started(self.run, shape) as (side, workspace):
                points[shape], done = [], 0
                for projects in steps:
                    data, began = self.data(projects, each), time.monotonic()
                    side.load(data, range(done, projects))
                    took = time.monotonic() - began
                    speed[shape] = (projects - done) * each / took
                    say(f"{shape}: {(projects - done) * each:,} entries in {took:.1f} s")
                    done = projects
                    label = f"{shape}, {projects:,} projects of {each} entries"
                    found = step(self.run, f"growth.{name}", label, drawn(self.run, side.vault, data), workspace)
                    self.measures[f"growth.{name}.{shape}.{projects}"] = found
                    points[shape].append((projects, *latency(found)))
        return points, speed

    def by_entries(self):
        points, speed = self.stored("entries", powers(10, self.entries // ENTRIES_EACH), ENTRIES_EACH)
        lines = {
            shape: [(projects * ENTRIES_EACH, *values) for projects, *values in line] for shape, line in points.items()
        }
        self.add("entries", "One secret, 1 connection: time by stored entries", f"entries, {ENTRIES_EACH} a project", lines)
        self.imports = speed

    def by_projects(self):
        points, _ = self.stored("projects", powers(1, self.entries // ENTRIES_EACH), 1)
        self.add("projects", "One secret, 1 connection: time by projects", "projects, one entry each", points)

    def by_entries_of_a_project(self):
        lines = {}
        for shape in self.shapes():
            with started(self.run, shape) as (side, workspace):
                one, whole = [], []
                for size in SIZES:
                    data = self.data(4, size, f"of{size}-")
                    side.load(data)
                    for line, what, target in (
                        (one, "one secret", side.vault.one_secret(data)),
                        (whole, "session start", side.vault.session(data)),
                    ):
                        found = step(self.run, "growth.sizes", f"{shape}, {what} of {size}", target, workspace)
                        self.measures[f"growth.sizes.{shape}.{what}.{size}"] = found
                        line.append((size, *latency(found)))
                lines[f"{shape}, one secret"], lines[f"{shape}, all of them"] = one, whole
        title = "One secret and whole sessions, 1 connection: time by entries"
        self.add("entries-of-a-project", title, "entries of the project", lines, y_log=True)

    def by_tuples(self):
        """Tuples of other projects, written to OpenFGA itself."""
        with started(self.run, "full") as (side, workspace):
            data = self.data(100, 10)
            side.load(data)
            store, line, done = side.fga.store(), [], 0
            path = f"/stores/{store}/write"

            def write(first):
                keys = [
                    {"user": f"user:person{first + number}", "relation": "informed", "object": f"project:other{first}"}
                    for number in range(TUPLES_EACH)
                ]
                side.fga.client.json("POST", path, {"writes": {"tuple_keys": keys}})

            for tuples in powers(min(10_000, self.entries), self.entries):
                began = time.monotonic()
                in_parallel(write, range(done, tuples, TUPLES_EACH))
                say(f"{tuples - done:,} tuples in {time.monotonic() - began:.1f} s")
                done = tuples
                found = step(self.run, "growth.tuples", f"full, {tuples:,} tuples", drawn(self.run, side.vault, data), workspace)
                self.measures[f"growth.tuples.full.{tuples}"] = found
                line.append((tuples, *latency(found)))
        self.add("tuples", "One secret, 1 connection: time by tuples in OpenFGA", "tuples", {"full": line})

    def by_connections(self):
        rates, times = {}, {}

        def sweep(label, target, workspace):
            rates[label], times[label] = [], []
            for connections in CONNECTIONS:
                found = step(self.run, "growth.connections", f"{label}, {connections} connections", target, workspace, connections)
                # Each step writes the files of its requests anew.
                target.files = None
                self.measures[f"growth.connections.{label}.{connections}"] = found
                rates[label].append((connections, *rate(found)))
                times[label].append((connections, *latency(found)))

        for shape in self.shapes():
            with started(self.run, shape) as (side, workspace):
                data = self.data(100, 20)
                side.load(data)
                sweep(shape, side.vault.one_secret(data), workspace)
        if self.run.bao:
            with Workspace(self.run.options.keep_logs) as workspace:
                raft, data = openbao.on_raft(workspace), self.data(100, 20)
                raft.load(data)
                sweep("OpenBao on raft", raft.one_secret(data), workspace)
        self.add("rate-by-connections", "One secret: rate by connections", "connections", rates, "answers per second", TICKS)
        self.add("time-by-connections", "One secret: time by connections", "connections", times, ticks=TICKS, y_log=True)

    def add(self, name, title, x_label, lines, y_label="median time, ms", ticks=None, y_log=False):
        self.plots.append({
            "name": name, "title": title, "x_label": x_label, "y_label": y_label, "lines": lines, "x_ticks": ticks, "y_log": y_log,
        })


def growth(run):
    grown = Growth(run)
    sweeps = {
        "entries": grown.by_entries, "projects": grown.by_projects, "sizes": grown.by_entries_of_a_project,
        "tuples": grown.by_tuples, "connections": grown.by_connections,
    }
    named = [word.split(".", 1)[1] for word in run.options.words if word.startswith("growth.")]
    for name, sweep in sweeps.items():
        if not named or name in named:
            sweep()
    return {"points": grown.measures, "plots": grown.plots, "imports": grown.imports}
