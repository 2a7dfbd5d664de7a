"""The command line of scripts/bench."""

import argparse
import datetime
import os

from . import growth, groups, programs, report
from .processes import say, stop_on_signals
from .wrk import ensure_wrk

GROUPS = {"embedded": groups.embedded, "full": groups.full, "growth": growth.growth}
ABOUT = """Measures the vault beside OpenBao, OpenFGA alone, the bare GraphQL stack and the disk. Starts
every server from nothing on loopback, and stops it. Prints one table, and writes target/bench/results.json."""
MORE = """names: a group (embedded, full, growth), or part of a measure's name, such as full.one;
without one, all groups but growth.

environment: BAO_BIN names OpenBao's program; without it, OpenBao's rows are left out.
PROJECT_VAULT_BIN, BARE_BIN and RAW_OPENFGA_BIN name programs to measure instead of release builds.
BENCH_DIR is where the servers keep their data (default /var/tmp); it has to be on disk."""


def parse():
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=ABOUT, epilog=MORE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", metavar="NAME", help="what to measure")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which the sides take turns (default 3)")
    parser.add_argument("--seconds", type=float, help="seconds of each measure in a round (default 5; growth 2)")
    parser.add_argument(
        "--entries", type=int, default=100_000,
        help="of growth: entries and tuples at the last step, and 100 times the projects (default 100000; the whole is 1000000)",
    )
    parser.add_argument("--quick", action="store_true", help="a smoke test: little data, one round of 1 s")
    parser.add_argument("--write", action="store_true", help="put the tables and plots of the newest results into docs/performance")
    parser.add_argument("--write-only", action="store_true", help="as --write, from the last results, without measuring")
    parser.add_argument("--no-examples", action="store_true", help="leave out the bare stack, and OpenFGA over gRPC")
    parser.add_argument("--keep-logs", metavar="DIR", help="copy the servers' logs there at the end")
    options = parser.parse_args()
    options.whole = not options.quick and all(word in GROUPS for word in options.words)
    if options.write and not options.whole:
        parser.error("--write takes whole groups, and no --quick: the page would lose the other rows")
    if options.quick:
        options.rounds, options.seconds = 1, 1
    return options


def chosen(words):
    """The groups that the names on the command line ask for."""
    if not words:
        return ["embedded", "full"]
    wanted = [name for name in GROUPS if any(name == word.split(".")[0] for word in words)]
    return wanted or ["embedded", "full"]


def main():
    options = parse()
    if options.write_only:
        report.write(report.load(report.RESULTS))
        return 0
    stop_on_signals()
    ensure_wrk()
    # Nothing is built while something is measured.
    run = groups.Run(options, programs.vault())
    programs.openfga()
    if not options.no_examples:
        for name in ("bare", "raw_openfga"):
            programs.example(name)
    seconds = options.seconds
    if not run.bao:
        say("BAO_BIN is not set: OpenBao's rows are left out")
    path = report.RESULTS if options.whole else report.PARTIAL
    results = report.load(path) if options.whole else {}
    names = chosen(options.words)
    try:
        for name in names:
            say(f"== {name}")
            options.seconds = seconds or (2 if name == "growth" else 5)
            found = GROUPS[name](run)
            results.setdefault("groups", {})[name] = {
                "date": datetime.date.today().isoformat(), "cores": len(os.sched_getaffinity(0)),
                "rounds": options.rounds, "seconds": options.seconds, "versions": groups.versions(run), **found,
            }
            results["without_openbao"] = not run.bao
            report.save(path, results)
    except KeyboardInterrupt:
        say("interrupted; every server is stopped")
        return 130
    now = {**results, "groups": {name: results["groups"][name] for name in names}}
    print("\n\n".join(part for part in (report.text(now), report.plotted(now)) if part))
    report.draw(now, path.parent)
    if options.write:
        report.write(results)
    faults = report.wrong(results, names)
    for fault in faults:
        say(fault)
    return 1 if faults else 0
