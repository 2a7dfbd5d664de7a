"""The bare stack: async-graphql over axum, answering constants (examples/bare.rs)."""

import json
import os
import subprocess

from .processes import ROOT, answers, free_port, say, wait_until
from .wrk import Request, Target

HEADERS = {"Content-Type": "application/json"}


def build():
    """The program: what BARE_BIN names, or a release build."""
    if given := os.environ.get("BARE_BIN"):
        return given
    command = ["cargo", "build", "--release", "--locked", "--example", "bare"]
    subprocess.run(command, cwd=ROOT, check=True)
    return ROOT / "target/release/examples/bare"


class Bare:
    """A running bare stack."""

    def __init__(self, port, process):
        self.port, self.process = port, process

    @classmethod
    def start(cls, workspace, leave_out):
        """None when it is left out."""
        if leave_out:
            say("the bare stack is left out")
            return None
        port = free_port()
        process = workspace.start("bare", [build(), f"127.0.0.1:{port}"])
        # It answers POST alone.
        wait_until(lambda: answers(port, "/graphql", (405,)), "the bare stack", process)
        return cls(port, process)

    def answer(self):
        request = Request("POST", "/graphql", {"query": "{answer}"}, lambda text: json.loads(text) == {"data": {"answer": "constant"}})
        return Target("bare answer", self.port, HEADERS, [request], '"constant"')

    def same_operation(self, vault, data):
        """The vault's requests, with the same headers; every answer is one constant secret."""
        target = vault.one_secret(data)
        right = lambda text: json.loads(text)["data"]["resolveSecrets"]["secrets"][0]["value"] == "constant"
        requests = [Request(request.method, request.path, request.body, right) for request in target.requests]
        return Target("bare resolve", self.port, target.headers, requests, '"constant"')
