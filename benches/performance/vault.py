"""The vault's side: an embedded vault (`dev`), a full one (`serve` with PostgreSQL and OpenFGA), and the
data in them."""

import base64
import json
import subprocess
from dataclasses import dataclass

from .client import Client, in_parallel
from .processes import answers, environment, free_port, wait_until
from .wrk import Request, Target

ISSUER = "project-vault-dev"
# No side writes a line of its log for each request; access records are on.
QUIET = {"RUST_LOG": "warn"}
ORGANIZATION, RUNTIME, PERSON, SERVICE = "acme", "acme-runtime", "bob", "platform"
RESOLVE = "query($i:ResolveSecretsInput!){resolveSecrets(input:$i){secrets{name outcome value}}}"
PAGE = (
    "query($p:ID!){projectVault(projectId:$p){entries(first:50){"
    "nodes{id name category scope status expiresAt version maskedValue updatedAt}pageInfo{hasNextPage endCursor}}}}"
)
ENTITIES = "query($r:[_Any!]!){_entities(representations:$r){...on Project{id vault{status}}}}"


@dataclass
class Data:
    """The projects of a run. Every value ends with the run's mark, which no other text holds."""

    projects: int
    entries: int
    agents: int
    mark: str
    prefix: str = "p"

    def project(self, number):
        return f"{self.prefix}{number}"

    def agent(self, number):
        return f"agent-{number % self.agents}"

    def name(self, entry):
        return f"SERVICE_{entry:03}_TOKEN"

    def value(self, project, entry):
        return f"sk-live-{project:05}-{entry:03}-{self.mark}"

    def names(self):
        return [self.name(entry) for entry in range(self.entries)]


class Vault:
    """A running vault, and its callers' tokens."""

    def __init__(self, program, issuer_dir, port, process):
        self.program, self.issuer_dir, self.port, self.process = program, issuer_dir, port, process
        self.service = self.caller(f"service:{SERVICE}")
        self.person = self.caller(f"user:{PERSON}")
        self.runtime = self.caller(f"runtime:{RUNTIME}")

    def records(self, env=None):
        """The access records of released values, as `audit export` prints them."""
        place = [] if env else ["--data-dir", self.issuer_dir]
        command = [self.program, "audit", "export", *place]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(env)) as export:
            count = sum(b'"SECRET_RESOLVED"' in line for line in export.stdout)
        if export.returncode:
            raise RuntimeError(f"audit export ended with {export.returncode}")
        return count

    def caller(self, whose):
        command = [self.program, "token", "--data-dir", self.issuer_dir, "--ttl", "12h", whose]
        token = subprocess.check_output(command, text=True, env=environment()).strip()
        return Client(self.port, {"Authorization": f"Bearer {token}"})

    def ask(self, caller, query, variables=None):
        answer = caller.json("POST", "/graphql", {"query": query, "variables": variables or {}})
        errors = answer.get("errors") or [
            error for part in answer["data"].values() if isinstance(part, dict) for error in part.get("userErrors") or []
        ]
        if errors:
            raise RuntimeError(f"{query[:80]}: {json.dumps(errors)[:500]}")
        return answer["data"]

    def change(self, caller, field, kind, value):
        return self.ask(caller, f"mutation($i:{kind}!){{{field}(input:$i){{userErrors{{code message}}}}}}", {"i": value})

    def organize(self, agents):
        """The organization's agents and runtime."""
        in_parallel(
            lambda agent: self.change(
                self.service, "registerVaultAgent", "VaultAgentRegistrationInput",
                {"agentId": f"agent-{agent}", "organizationId": ORGANIZATION},
            ),
            range(agents),
        )
        self.change(
            self.service, "registerVaultRuntime", "VaultRuntimeRegistrationInput",
            {"runtimeId": RUNTIME, "organizationId": ORGANIZATION},
        )

    def load(self, data, projects=None, entries=None):
        """Registers projects, assigns an agent to each, and imports its entries as one .env text."""

        def one(number):
            self.change(
                self.service, "registerProjectVault", "RegisterProjectVaultInput",
                {"projectId": data.project(number), "participantIds": [ORGANIZATION], "accountableUserIds": [PERSON]},
            )
            self.change(
                self.service, "assignVaultAgent", "VaultAgentInput",
                {"projectId": data.project(number), "agentId": data.agent(number)},
            )
            count = data.entries if entries is None else entries
            dotenv = "".join(f"{data.name(entry)}={data.value(number, entry)}\n" for entry in range(count))
            imported = {"projectId": data.project(number), "dotenv": dotenv, "category": "API_KEY"}
            self.change(self.person, "importVaultEntries", "ImportVaultEntriesInput", imported)

        in_parallel(one, range(data.projects) if projects is None else projects)

    # What callers ask.

    def target(self, name, caller, requests, expected, times=1):
        headers = {"Content-Type": "application/json", **caller.headers}
        return Target(name, self.port, headers, requests, expected, times)

    def one_secret(self, data, name="one secret", projects=None, entries=None):
        """Resolves one name in a project drawn at random."""
        requests = []
        for project in range(data.projects) if projects is None else projects:
            for entry in range(data.entries) if entries is None else entries:
                body = resolve_body(data, project, {"names": [data.name(entry)], "purpose": "TOOL_EXECUTION", "tool": "deploy"})
                expected = [{"name": data.name(entry), "outcome": "RESOLVED", "value": data.value(project, entry)}]
                requests.append(Request("POST", "/graphql", body, secrets_are(expected)))
        return self.target(name, self.runtime, requests, f'{data.mark}"')

    def session(self, data, name="session start", projects=None):
        """Resolves everything an agent may use in a project drawn at random."""
        requests = []
        for project in range(data.projects) if projects is None else projects:
            body = resolve_body(data, project, {"purpose": "CODING_SESSION", "sessionId": f"session-{project}"})
            expected = [
                {"name": data.name(entry), "outcome": "RESOLVED", "value": data.value(project, entry)}
                for entry in range(data.entries)
            ]
            requests.append(Request("POST", "/graphql", body, secrets_are(expected)))
        return self.target(name, self.runtime, requests, f'{data.mark}"', data.entries)

    def page(self, data, name="page of 50"):
        """The first page of a project drawn at random, as an Accountable person sees it."""
        masked = f"sk-****{data.mark[-3:]}"
        requests = [
            Request("POST", "/graphql", {"query": PAGE, "variables": {"p": data.project(project)}}, page_is(data, masked))
            for project in range(data.projects)
        ]
        return self.target(name, self.person, requests, f'"{masked}"', 50)

    def entities(self, data, count, random, name="_entities"):
        """Representations of projects drawn at random, as a gateway asks for them."""
        requests = []
        for _ in range(1000):
            ids = [data.project(number) for number in random.sample(range(data.projects), count)]
            representations = [{"__typename": "Project", "id": id} for id in ids]
            expected = [{"id": id, "vault": {"status": "ACTIVE"}} for id in ids]
            body = {"query": ENTITIES, "variables": {"r": representations}}
            requests.append(Request("POST", "/graphql", body, answer_is({"_entities": expected})))
        return self.target(name, self.person, requests, '"vault":{"status":"ACTIVE"}', count)


def resolve_body(data, project, what):
    asked = {"projectId": data.project(project), "agentId": data.agent(project), **what}
    return {"query": RESOLVE, "variables": {"i": asked}}


def answer_is(expected):
    return lambda text: json.loads(text) == {"data": expected}


def secrets_are(expected):
    return answer_is({"resolveSecrets": {"secrets": expected}})


def page_is(data, masked):
    def check(text):
        answer = json.loads(text)
        nodes = answer["data"]["projectVault"]["entries"]["nodes"]
        found = [(node["name"], node["maskedValue"]) for node in nodes]
        return "errors" not in answer and found == [(name, masked) for name in data.names()[:50]]

    return check


def start_embedded(workspace, program, name="embedded"):
    """A `dev` vault without the demo."""
    folder = workspace.path / name
    port = free_port()
    command = [program, "dev", "--no-demo", "--data-dir", folder, "--listen", f"127.0.0.1:{port}"]
    process = workspace.start(name, command, QUIET)
    wait_until(lambda: answers(port, "/readyz"), "the embedded vault", process)
    run = [program, "registrar", "add", SERVICE, "--data-dir", str(folder)]
    subprocess.run(run, check=True, env=environment(), stdout=subprocess.DEVNULL)
    return Vault(program, str(folder), port, process)


class Full:
    """The settings of servers that share a PostgreSQL database and a store of OpenFGA. A `dev` vault that
    is stopped right away leaves the issuer's key, with which `token` signs."""

    def __init__(self, workspace, program, database_url, openfga_url, name="full"):
        self.workspace, self.program, self.name = workspace, program, name
        self.issuer_dir = str(workspace.path / f"{name}-issuer")
        start_issuer(workspace, program, self.issuer_dir, f"{name}-issuer")
        folder = workspace.folder(name)
        jwks, keyring = folder / "jwks.json", folder / "keyring.toml"
        jwks.write_text(json.dumps(key_set(program, self.issuer_dir)))
        text = subprocess.check_output([program, "keys", "generate"], env=environment())
        keyring.touch(mode=0o600)
        keyring.write_bytes(text)
        self.env = {
            "DATABASE_URL": database_url, "OPENFGA_URL": openfga_url, "VAULT_KEYRING_FILE": keyring,
            "VAULT_JWT_ISSUER": ISSUER, "VAULT_JWKS_FILE": jwks,
        }
        self.run("migrate")
        self.run("registrar", "add", SERVICE)

    def run(self, *arguments):
        """Runs an operator's command on the same data."""
        done = subprocess.run([self.program, *arguments], env=environment(self.env), capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"project-vault {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")

    def serve(self, max_age_ms=0):
        port = free_port()
        env = {**self.env, **QUIET, "VAULT_LISTEN": f"127.0.0.1:{port}", "VAULT_AUTHZ_MAX_AGE_MS": max_age_ms}
        process = self.workspace.start(f"{self.name}-{max_age_ms}", [self.program, "serve"], env)
        wait_until(lambda: answers(port, "/readyz"), "the full vault", process)
        return Vault(self.program, self.issuer_dir, port, process)


def start_issuer(workspace, program, folder, name):
    port = free_port()
    process = workspace.start(name, [program, "dev", "--no-demo", "--data-dir", folder, "--listen", f"127.0.0.1:{port}"])
    wait_until(lambda: answers(port, "/readyz"), "the issuer", process)
    process.terminate()
    process.wait(30)


def key_set(program, issuer_dir):
    """The JWKS of a `dev` vault's issuer."""
    key = f"{issuer_dir}/issuer.pem"
    der = subprocess.check_output(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"])
    token = subprocess.check_output([program, "token", "--data-dir", issuer_dir, "user:x"], text=True, env=environment())
    head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    # A SubjectPublicKeyInfo of Ed25519 ends with the 32 bytes of the key (RFC 8410).
    x = base64.urlsafe_b64encode(der[-32:]).decode().rstrip("=")
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": head["kid"], "alg": "EdDSA", "use": "sig"}]}
