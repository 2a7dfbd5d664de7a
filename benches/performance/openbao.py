"""OpenBao's side: the KV v2 engine with the file audit device, on raft and on PostgreSQL."""

import json

from . import programs
from .client import Client, in_parallel
from .processes import answers, free_port, wait_until
from .wrk import Request, Target

# What `tuned` changes. OpenBao keeps two idle connections unless it is told otherwise, and opens one
# for nearly every read; it runs max_parallel operations and as many transactions at once (128 each as
# it comes). The cache is on and this large as it comes; the tuned configuration says so.
TUNED = {"max_idle_connections": "128", "max_parallel": "256", "transaction_max_parallel": "256"}
TUNED_TOP = "disable_cache = false\ncache_size = 131072\n"


class OpenBao:
    """A running, unsealed OpenBao with one KV v2 engine at `secret/`."""

    def __init__(self, workspace, name, storage, top=""):
        self.name, self.port = name, free_port()
        folder = workspace.folder(name)
        cluster = free_port()
        config = folder / "config.hcl"
        self.audit_file = folder / "audit.log"
        config.write_text(f"""{storage}{top}
listener "tcp" {{
  address = "127.0.0.1:{self.port}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{self.port}"
cluster_addr = "http://127.0.0.1:{cluster}"
log_level = "warn"
audit "file" "file" {{
  options {{
    file_path = "{self.audit_file}"
  }}
}}
""")
        self.process = workspace.start(name, [programs.openbao(), "server", f"-config={config}"])
        # 501: not initialized yet.
        wait_until(lambda: answers(self.port, "/v1/sys/health", (501,)), "OpenBao", self.process)
        made = Client(self.port).json("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
        Client(self.port).json("PUT", "/v1/sys/unseal", {"key": made["keys"][0]})
        wait_until(lambda: answers(self.port, "/v1/sys/health"), "OpenBao", self.process)
        self.client = Client(self.port, {"X-Vault-Token": made["root_token"]})
        self.client.json("POST", "/v1/sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        # The engine upgrades itself right after it is mounted and refuses writes until it has.
        probe = {"data": {"value": "probe"}}
        wait_until(
            lambda: self.client.request("POST", "/v1/secret/data/probe", probe)[0] == 200, "OpenBao's KV engine", self.process
        )
        self.client.headers["X-Vault-Token"] = self.reader()

    def reader(self):
        """A token with a policy, as an application has; the root token would skip the policy."""
        policy = 'path "secret/data/*" { capabilities = ["create", "update", "read"] }'
        self.client.json("PUT", "/v1/sys/policies/acl/bench", {"policy": policy})
        asked = {"policies": ["bench"], "ttl": "24h", "no_default_policy": True}
        return self.client.json("POST", "/v1/auth/token/create", asked)["auth"]["client_token"]

    @staticmethod
    def path(data, project, entry):
        return f"/v1/secret/data/{data.project(project)}/{data.name(entry)}"

    def load(self, data):
        def one(place):
            project, entry = place
            self.client.json("POST", self.path(data, project, entry), {"data": {"value": data.value(project, entry)}})

        in_parallel(one, [(project, entry) for project in range(data.projects) for entry in range(data.entries)])

    def one_secret(self, data, name=None):
        """Reads one of the secrets, drawn at random."""
        requests = [
            Request("GET", self.path(data, project, entry), None, value_is(data.value(project, entry)))
            for project in range(data.projects)
            for entry in range(data.entries)
        ]
        return Target(name or self.name, self.port, dict(self.client.headers), requests, f'{data.mark}"')

    def records(self):
        """The answers in the file of the audit device."""
        with open(self.audit_file, "rb") as file:
            return sum(b'"type":"response"' in line for line in file)


def value_is(value):
    return lambda text: json.loads(text)["data"]["data"] == {"value": value}


def on_raft(workspace):
    folder = workspace.folder("openbao-raft-data")
    storage = f'storage "raft" {{\n  path = "{folder}"\n  node_id = "bench"\n}}\n'
    return OpenBao(workspace, "openbao-raft", storage)


def on_postgres(workspace, database_url, name, tuned=False):
    settings = {"connection_url": f"{database_url}?sslmode=disable", **(TUNED if tuned else {})}
    lines = "".join(f'  {setting} = "{value}"\n' for setting, value in settings.items())
    return OpenBao(workspace, name, f'storage "postgresql" {{\n{lines}}}\n', TUNED_TOP if tuned else "")
