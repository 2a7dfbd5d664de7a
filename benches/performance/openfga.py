"""The real OpenFGA, with a PostgreSQL database as its store, as docker/compose.yaml runs it."""

import json
import subprocess

from .client import Client
from .processes import ROOT, answers, environment, free_port, say, wait_until
from .vault import RUNTIME
from .wrk import Request, Target

PROGRAM = ROOT / "target/tools/openfga"
VERSION = "v1.22.1"
STORE = "project-vault"


def build():
    if not PROGRAM.exists():
        say("building OpenFGA")
        env = {**environment(), "GOBIN": str(PROGRAM.parent)}
        subprocess.run(["go", "install", f"github.com/openfga/openfga/cmd/openfga@{VERSION}"], check=True, env=env)


class OpenFga:
    """A running OpenFGA."""

    def __init__(self, workspace, database_url):
        build()
        self.port, self.grpc_port = free_port(), free_port()
        env = {
            "OPENFGA_DATASTORE_ENGINE": "postgres", "OPENFGA_DATASTORE_URI": database_url,
            "OPENFGA_METRICS_ENABLED": "false", "OPENFGA_PLAYGROUND_ENABLED": "false",
            "OPENFGA_HTTP_ADDR": f"127.0.0.1:{self.port}", "OPENFGA_GRPC_ADDR": f"127.0.0.1:{self.grpc_port}",
            # A line for each request would make it slower.
            "OPENFGA_LOG_LEVEL": "error",
        }
        subprocess.run([PROGRAM, "migrate"], check=True, env=environment(env), capture_output=True)
        self.process = workspace.start("openfga", [PROGRAM, "run"], env)
        wait_until(lambda: answers(self.port, "/healthz"), "OpenFGA", self.process)
        self.client = Client(self.port)

    def url(self):
        return f"http://127.0.0.1:{self.grpc_port}"

    def store(self):
        stores = self.client.json("GET", f"/stores?name={STORE}")["stores"]
        return next(store["id"] for store in stores if store["name"] == STORE)

    def model(self, store):
        return self.client.json("GET", f"/stores/{store}/authorization-models")["authorization_models"][0]["id"]

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
