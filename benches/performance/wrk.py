"""Drives a server with wrk, which checks every answer, and checks some answers whole beside it."""

import json
import random
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from .client import Client
from .processes import environment, install

SCRIPT = Path(__file__).with_name("drive.lua")
# One whole answer in this many seconds is compared beside wrk.
SAMPLE_EVERY = 0.1


@dataclass
class Request:
    """A request; `check` looks at the whole answer, as text, and says whether it is right."""

    method: str
    path: str
    body: object
    check: object


@dataclass
class Target:
    """What wrk sends to a server: requests drawn at random, and what every right answer holds."""

    name: str
    port: int
    headers: dict
    requests: list
    expected: str
    times: int = 1
    files: tuple = field(default=None, repr=False)


@dataclass
class Result:
    """One run of wrk. Rates count right answers only. `processor` holds the processor time of one answer
    by process, in microseconds."""

    rate: float
    p50_ms: float
    p99_ms: float
    wrong: int
    failed: int
    first_wrong: str
    answers: int = 0
    processor: dict = field(default_factory=dict)


def ensure_wrk():
    if shutil.which("wrk") is None:
        install("wrk")


def write_files(target, folder):
    """Writes the requests where the script for wrk reads them."""
    stem = folder / f"{target.name.replace(' ', '-').replace('/', '-')}-{id(target)}"
    requests, headers = stem.with_suffix(".requests"), stem.with_suffix(".headers")
    with open(requests, "w") as file:
        for request in target.requests:
            body = "" if request.body is None else json.dumps(request.body, separators=(",", ":"))
            file.write(f"{request.method}\t{request.path}\t{body}\n")
    headers.write_text("".join(f"{name}: {value}\n" for name, value in target.headers.items()))
    target.files = (requests, headers)


def drive(target, folder, seconds, connections=16, seed=1):
    """Runs wrk against a target."""
    if target.files is None:
        write_files(target, folder)
    command = [
        "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", SCRIPT,
        f"http://127.0.0.1:{target.port}", "--", *target.files, target.expected, target.times, seed,
    ]
    sampler = Sampler(target, seed)
    sampler.start()
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, env=environment(), timeout=seconds + 120
        )
    finally:
        sampler.stop()
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT\t")), None)
    if line is None:
        raise RuntimeError(f"wrk gave no result for {target.name}:\n{done.stdout}\n{done.stderr}")
    _, micros, good, wrong, failed, p50, p99, _, first = line.split("\t", 8)
    return Result(
        rate=int(good) / (int(micros) / 1e6), p50_ms=int(p50) / 1000, p99_ms=int(p99) / 1000,
        wrong=int(wrong) + len(sampler.wrong), failed=int(failed),
        first_wrong=first or next(iter(sampler.wrong), ""), answers=int(good),
    )


class Sampler(threading.Thread):
    """Sends a few of the same requests beside wrk and compares the whole answers: wrk's script only
    knows what all answers have in common."""

    def __init__(self, target, seed):
        super().__init__(daemon=True)
        self.target, self.random = target, random.Random(seed)
        self.over, self.wrong = threading.Event(), []

    def run(self):
        client = Client(self.target.port, self.target.headers)
        while not self.over.wait(SAMPLE_EVERY):
            request = self.random.choice(self.target.requests)
            try:
                status, text = client.request(request.method, request.path, request.body)
                if status != 200 or not request.check(text):
                    self.wrong.append(f"{status} {text[:400]}")
            except OSError as error:
                self.wrong.append(str(error))

    def stop(self):
        self.over.set()
        self.join()
