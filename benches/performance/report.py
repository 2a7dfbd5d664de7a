"""The table, the JSON, and the part of docs/performance.md between the markers."""

import json
import re

from .processes import ROOT
from .svg import plot

RESULTS = ROOT / "target/bench/results.json"
# Of a smoke test or of single measures, so that the results of whole groups stay.
PARTIAL = ROOT / "target/bench/partial.json"
DOCUMENT = ROOT / "docs/performance.md"
PLOTS = ROOT / "docs/performance"

# job, the vault's measure, the other side's measure, operations of the other side for one of the
# vault's, and the bar, if there is one.
COMPARISONS = [
    ("one secret, embedded, beside OpenBao on raft", "embedded.one", "embedded.raft", 1, 3),
    ("session start of 20, embedded, beside 20 reads of OpenBao on raft", "embedded.session", "embedded.raft", 20, 20),
    ("one secret, embedded, beside the same operation with a constant answer", "embedded.one", "embedded.bare", 1, 0.4),
    (
        "one secret, embedded, beside the same operation with a constant answer and a durable record",
        "embedded.one", "embedded.recording", 1, None,
    ),
    ("one secret, full, strict, beside OpenBao on PostgreSQL as it comes", "full.one", "full.postgres", 1, 1),
    ("one secret, full, strict, beside the same checks sent to OpenFGA alone over gRPC", "full.one", "full.grpc", 1, 0.9),
    ("one secret, full, decisions up to 1 s old, beside OpenBao on PostgreSQL, tuned", "full.cached", "full.tuned", 1, 1.5),
    ("session start of 20, full, strict, beside 20 reads of OpenBao on PostgreSQL, tuned", "full.session", "full.tuned", 20, 4),
]
# How much longer one secret may take when more is stored.
GROWTH_BAR = 1.2
# Jobs whose bar is that every one is answered, and rightly.
ANSWERED = [
    ("_entities of 20 projects, full, strict", "full.entities"),
    ("_entities of 20 projects, embedded", "embedded.entities"),
    ("page of 50 masked entries, embedded", "embedded.page"),
    ("page of 50 masked entries, full, strict", "full.page"),
]


def load(path):
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


def save(path, results):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")


def measures(results):
    found = {}
    for group in results.get("groups", {}).values():
        found.update(group.get("measures", {}))
    return found


def number(value):
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def spread(measure):
    return f"{number(measure['rate'])} ({number(measure['min'])} to {number(measure['max'])})"


def ratios(ours, theirs, operations):
    """Of the medians, and the lowest and highest of one round."""
    each = [
        mine["rate"] * operations / other["rate"]
        for mine, other in zip(ours["rounds"], theirs["rounds"])
        if other["rate"]
    ]
    if not each or not theirs["rate"]:
        return None
    return ours["rate"] * operations / theirs["rate"], min(each), max(each)


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def compared(found):
    rows, missing = [], []
    for job, mine, other, operations, bar in COMPARISONS:
        ratio = ratios(found[mine], found[other], operations) if mine in found and other in found else None
        if ratio is None:
            if mine in found:
                missing.append(job)
            continue
        met = bar is None or ratio[0] >= bar
        verdict = "missed" if not met or found[mine]["wrong"] else "" if bar is None else "met"
        rows.append([
            job, spread(found[mine]), spread(found[other]),
            f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})", f"{bar or ''}", verdict,
        ])
    for job, key in ANSWERED:
        if key in found:
            faults = found[key]["wrong"] + found[key]["failed"]
            rows.append([job, spread(found[key]), "", f"{faults} errors", "0 errors", "missed" if faults else "met"])
    heads = ["job", "vault, per second", "other side, per second", "ratio", "bar", ""]
    return table(heads, rows) if rows else "", missing


def measured(found):
    milliseconds = lambda value: "" if value is None else f"{value:.2f}"
    rows = [
        [
            measure["label"], spread(measure), milliseconds(measure["p50_ms"]), milliseconds(measure["p99_ms"]),
            measure["wrong"] + measure["failed"],
        ]
        for measure in found.values()
    ]
    return table(["measured", "per second: median (lowest to highest round)", "p50 ms", "p99 ms", "errors"], rows)


def spent(results):
    """The processor time of one answer, by process."""
    rows = []
    for group in results.get("groups", {}).values():
        for measure in group.get("measures", {}).values():
            if processor := measure.get("processor"):
                whole = sum(processor.values())
                busy = whole * measure["rate"] / 1e6 / group["cores"]
                parts = sorted(processor.items(), key=lambda part: -part[1])
                each = ", ".join(f"{name} {micros:,.0f}" for name, micros in parts if micros >= 1)
                rows.append([measure["label"], f"{whole:,.0f}", f"{busy:.0%}", each])
    heads = ["processor time of one answer, microseconds", "all", "cores busy", "by process"]
    return table(heads, rows) if rows else ""


def remembered(results):
    rows = [
        [name, f"{size['now']:.0f}", "" if size["peak"] is None else f"{size['peak']:.0f}"]
        for group in results.get("groups", {}).values()
        for name, size in group.get("memory", {}).items()
    ]
    return table(["resident memory, MiB", "after the rounds", "highest"], rows) if rows else ""


def recorded(results):
    rows = [
        [side, f"{found['released']:,}", f"{found['records']:,}"]
        for group in results.get("groups", {}).values()
        for side, found in group.get("records", {}).items()
    ]
    heads = ["access records", "values in the answers of the rounds", "records found afterwards, with warming up and, of OpenBao, loading"]
    return table(heads, rows) if rows else ""


def grown(results):
    """The time of one secret at the last step of stored entries, beside that at the first."""
    points = results.get("groups", {}).get("growth", {}).get("points", {})
    rows = []
    for shape in ("embedded", "full"):
        steps = {int(key.split(".")[-1]): point for key, point in points.items() if key.startswith(f"growth.entries.{shape}.")}
        if len(steps) < 2:
            continue
        first, last = steps[min(steps)], steps[max(steps)]
        ratio = last["p50_ms"] / first["p50_ms"]
        times = [f"{step['p50_ms']:.2f} ms ({step['label'].split(', ', 1)[1]})" for step in (first, last)]
        rows.append([f"one secret, {shape}", *times, f"{ratio:.2f}", GROWTH_BAR, "met" if ratio <= GROWTH_BAR else "missed"])
    return table(["growth", "first step", "last step", "ratio", "bar, at most", ""], rows) if rows else ""


def text(results):
    found = measures(results)
    parts = [
        f"`{name}`: {group['date']}, {group['cores']} cores, rounds: {group['rounds']} of {group['seconds']:g} s. "
        f"{'; '.join(group['versions'])}."
        for name, group in results.get("groups", {}).items()
    ]
    head = "  \n".join(parts)
    comparisons, missing = compared(found)
    blocks = [head, comparisons, measured(found) if found else "", spent(results), remembered(results), recorded(results)]
    if missing:
        blocks.append("Not compared, because the other side was not measured: " + "; ".join(missing) + ".")
    if results.get("without_openbao"):
        blocks.append("`BAO_BIN` was not set: every row of OpenBao is left out.")
    blocks.append(grown(results))
    imports = results.get("groups", {}).get("growth", {}).get("imports")
    if imports:
        rows = [[shape, f"{value:,.0f}"] for shape, value in imports.items()]
        blocks.append(table(["import of entries, last step", "entries per second"], rows))
    return "\n\n".join(block for block in blocks if block)


def plotted(results):
    """The points of the plots."""
    return "\n\n".join(
        table(
            [made["title"], made["x_label"], f"{made['y_label']} (lowest to highest round)"],
            [
                [label, f"{x:,}", f"{y:,.2f} ({low:,.2f} to {high:,.2f})"]
                for label, line in made["lines"].items()
                for x, y, low, high in line
            ],
        )
        for made in plots(results)
    )


def plots(results):
    return results.get("groups", {}).get("growth", {}).get("plots", [])


def draw(results, folder):
    """Draws the plots of growth as SVG."""
    folder.mkdir(parents=True, exist_ok=True)
    for made in plots(results):
        options = {name: value for name, value in made.items() if name != "name"}
        (folder / f"{made['name']}.svg").write_text(plot(**options))


def write(results):
    """Puts the tables into the document, between the markers, and the plots beside it."""
    draw(results, PLOTS)
    document = DOCUMENT.read_text()
    marked = re.compile(r"(<!-- scripts/bench: begin -->\n).*?(<!-- scripts/bench: end -->)", re.DOTALL)
    made, count = marked.subn(lambda found: f"{found[1]}\n{text(results)}\n\n{found[2]}", document)
    if count != 1:
        raise RuntimeError(f"{DOCUMENT} does not hold the two markers once")
    DOCUMENT.write_text(made)


def wrong(results, names):
    """Measures of these groups with wrong or missing answers, and sides with too few records."""
    groups = [results["groups"][name] for name in names]
    measured = [measure for group in groups for part in ("measures", "points") for measure in group.get(part, {}).values()]
    sides = [(side, found) for group in groups for side, found in group.get("records", {}).items()]
    return [
        f"{measure['label']}: {measure['wrong']} wrong, {measure['failed']} failed: {measure['first_wrong']}"
        for measure in measured
        if measure["wrong"] or measure["failed"]
    ] + [
        f"{side}: {found['records']} records of {found['released']} released values"
        for side, found in sides
        if found["records"] < found["released"]
    ]
