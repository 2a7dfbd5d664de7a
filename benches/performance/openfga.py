"""The real OpenFGA, with a PostgreSQL database as its store, as docker/compose.yaml runs it."""

import json
import subprocess

from . import programs
from .client import Client
from .processes import answers, environment, free_port, wait_until
from .vault import RUNTIME
from .wrk import Request, Result, Target

STORE = "project-vault"


class OpenFga:
    """A running OpenFGA."""

    def __init__(self, workspace, database_url):
        program = programs.openfga()
        self.workspace = workspace
        self.port, self.grpc_port = free_port(), free_port()
        env = {
            "OPENFGA_DATASTORE_ENGINE": "postgres", "OPENFGA_DATASTORE_URI": database_url,
            "OPENFGA_METRICS_ENABLED": "false", "OPENFGA_PLAYGROUND_ENABLED": "false",
            "OPENFGA_HTTP_ADDR": f"127.0.0.1:{self.port}", "OPENFGA_GRPC_ADDR": f"127.0.0.1:{self.grpc_port}",
            # A line for each request would make it slower.
            "OPENFGA_LOG_LEVEL": "error",
        }
        subprocess.run([program, "migrate"], check=True, env=environment(env), capture_output=True)
        self.process = workspace.start("openfga", [program, "run"], env)
        wait_until(lambda: answers(self.port, "/healthz"), "OpenFGA", self.process)
        self.client = Client(self.port)

    def url(self):
        return f"http://127.0.0.1:{self.grpc_port}"

    def store(self):
        stores = self.client.json("GET", f"/stores?name={STORE}")["stores"]
        return next(store["id"] for store in stores if store["name"] == STORE)

    def model(self, store):
        return self.client.json("GET", f"/stores/{store}/authorization-models")["authorization_models"][0]["id"]

    def over_grpc(self, data, connections=16):
        """Asks the two checks of a resolve over gRPC, as the vault does (examples/raw_openfga.rs). Gives
        the `run` of a measure."""
        program, store = programs.example("raw_openfga"), self.store()
        file = self.workspace.path / "agents-and-projects"
        pairs = [f"{data.agent(project)} {data.project(project)}\n" for project in range(data.projects)]
        file.write_text("".join(pairs))

        def run(seconds, _):
            arguments = [self.url(), store, self.model(store), RUNTIME, connections, seconds, file]
            command = [program, *(str(argument) for argument in arguments)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
            allowed, wrong, took, p50, p99 = done.stdout.split()
            rate = int(allowed) / float(took)
            first_wrong = "a check was not allowed" if int(wrong) else ""
            return Result(rate, int(p50) / 1000, int(p99) / 1000, int(wrong), 0, first_wrong, int(allowed))

        return run

    def two_checks(self, data, name="OpenFGA alone"):
        """The two checks of a resolve in a project drawn at random, in one batch, over HTTP."""
        store = self.store()
        path, model = f"/stores/{store}/batch-check", self.model(store)
        requests = []
        for project in range(data.projects):
            agent = f"agent:{data.agent(project)}"
            keys = [
                {"user": agent, "relation": "can_act_through", "object": f"runtime:{RUNTIME}"},
                {"user": agent, "relation": "can_resolve", "object": f"project:{data.project(project)}"},
            ]
            checks = [{"tuple_key": key, "correlation_id": str(index)} for index, key in enumerate(keys)]
            body = {"authorization_model_id": model, "consistency": "HIGHER_CONSISTENCY", "checks": checks}
            requests.append(Request("POST", path, body, both_allowed))
        return Target(name, self.port, dict(self.client.headers), requests, '"allowed":true', 2)


def both_allowed(text):
    result = json.loads(text)["result"]
    return [result[index].get("allowed") for index in ("0", "1")] == [True, True]
