"""Measures that take turns, and what came of them."""

import resource
import statistics
from dataclasses import asdict, dataclass, field

from .processes import say
from .wrk import Result, drive, write_files

WARM_UP = 2
# The process that asks: wrk, or the program that drives OpenFGA.
ASKING = "the load"


@dataclass
class Measure:
    """One side of one job. `run(seconds, seed)` gives a Result; `values` is the number of values that a
    right answer holds and that must have a record."""

    key: str
    label: str
    run: object
    values: int = 0
    results: list = field(default_factory=list)

    def released(self):
        """The values in right answers of all rounds; those of the warm-up are not counted."""
        return self.values * sum(result.answers for result in self.results)


def of_target(key, label, target, workspace, connections=16, values=0):
    write_files(target, workspace.path)
    run = lambda seconds, seed: drive(target, workspace.path, seconds, connections, seed)
    return Measure(key, label, run, values)


def of_rate(key, label, rate):
    """A measure whose tool gives a rate alone."""
    return Measure(key, label, lambda seconds, seed: Result(rate(seconds), None, None, 0, 0, ""))


def processor_times(workspace):
    """The processor time so far, in seconds, of each server and of the programs that asked."""
    asking = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {**workspace.processor_times(), ASKING: asking.ru_utime + asking.ru_stime}


def accounted(measure, workspace, seconds, seed):
    """Runs a measure once, and notes the processor time that each process took for an answer."""
    before = processor_times(workspace)
    result = measure.run(seconds, seed)
    after = processor_times(workspace)
    if result.answers:
        took = {name: (after[name] - before[name]) * 1e6 / result.answers for name in after if name in before}
        result.processor = {name: micros for name, micros in took.items() if micros >= 1}
    return result


def alternate(measures, workspace, rounds, seconds):
    """Runs each measure once a round, one after the other, so that a busy moment of the machine meets
    all alike."""
    for measure in measures:
        measure.run(min(WARM_UP, seconds), 0)
    for number in range(1, rounds + 1):
        for measure in measures:
            result = accounted(measure, workspace, seconds, number)
            measure.results.append(result)
            p50 = "" if result.p50_ms is None else f", p50 {result.p50_ms:.2f} ms"
            say(f"round {number}: {measure.label}: {result.rate:,.0f}/s{p50}")
            if result.wrong or result.failed:
                say(f"  {result.wrong} wrong answers, {result.failed} without one: {result.first_wrong}")


def summary(measure):
    """What a report needs of a measure, as JSON."""
    results = measure.results
    rates = [result.rate for result in results]
    median = lambda values: None if any(value is None for value in values) else statistics.median(values)
    return {
        "label": measure.label,
        "rate": statistics.median(rates), "min": min(rates), "max": max(rates),
        "p50_ms": median([result.p50_ms for result in results]),
        "p99_ms": median([result.p99_ms for result in results]),
        "wrong": sum(result.wrong for result in results),
        "failed": sum(result.failed for result in results),
        "first_wrong": next((result.first_wrong for result in results if result.first_wrong), ""),
        "processor": {
            name: statistics.median(result.processor.get(name, 0) for result in results)
            for name in dict.fromkeys(name for result in results for name in result.processor)
        },
        "rounds": [asdict(result) for result in results],
    }
