"""The bare stack: async-graphql over axum, answering constants, with and without a durable record
(examples/bare.rs)."""

import json

from . import programs
from .processes import answers, free_port, wait_until
from .wrk import Request, Target

HEADERS = {"Content-Type": "application/json"}


class Bare:
    """A running bare stack."""

    def __init__(self, workspace, records=False):
        self.port = free_port()
        name = "bare-recording" if records else "bare"
        file = [str(workspace.path / "bare.sqlite")] if records else []
        self.process = workspace.start(name, [programs.example("bare"), f"127.0.0.1:{self.port}", *file])
        # It answers POST alone.
        wait_until(lambda: answers(self.port, "/graphql", (405,)), "the bare stack", self.process)

    def answer(self):
        request = Request("POST", "/graphql", {"query": "{answer}"}, lambda text: json.loads(text) == {"data": {"answer": "constant"}})
        return Target("bare answer", self.port, HEADERS, [request], '"constant"')

    def same_operation(self, vault, data):
        """The vault's requests, with the same headers; every answer is one constant secret."""
        target = vault.one_secret(data)
        right = lambda text: json.loads(text)["data"]["resolveSecrets"]["secrets"][0]["value"] == "constant"
        requests = [Request(request.method, request.path, request.body, right) for request in target.requests]
        return Target("bare resolve", self.port, target.headers, requests, '"constant"')
