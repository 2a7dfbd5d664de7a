"""The programs under test: release builds, or what the environment names."""

import os
import subprocess

from .processes import ROOT, environment, say

OPENFGA = ROOT / "target/tools/openfga"
OPENFGA_VERSION = "v1.22.1"
GIVEN = {"project-vault": "PROJECT_VAULT_BIN", "bare": "BARE_BIN", "raw_openfga": "RAW_OPENFGA_BIN"}


def given(name):
    """The program that the environment names, if it does."""
    path = os.environ.get(GIVEN[name])
    return path and os.path.abspath(path)


def vault():
    if path := given("project-vault"):
        return path
    cargo("--bin", "project-vault")
    return str(ROOT / "target/release/project-vault")


def example(name):
    if path := given(name):
        return path
    cargo("--example", name)
    return str(ROOT / "target/release/examples" / name)


def cargo(*what):
    subprocess.run(["cargo", "build", "--release", "--locked", *what], cwd=ROOT, check=True)


def openfga():
    if not OPENFGA.exists():
        say("building OpenFGA")
        env = {**environment(), "GOBIN": str(OPENFGA.parent)}
        subprocess.run(["go", "install", f"github.com/openfga/openfga/cmd/openfga@{OPENFGA_VERSION}"], check=True, env=env)
    return OPENFGA


def openbao():
    """The program that BAO_BIN names, or None."""
    path = os.environ.get("BAO_BIN")
    return os.path.abspath(path) if path else None
