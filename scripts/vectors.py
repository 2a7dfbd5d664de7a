#!/usr/bin/env python3
"""Writes tests/vectors/crypto.json: known answers for src/crypto, computed with `cryptography`.

It implements the formats a second time, independently of the Rust code. All inputs are fixed, so the
file is the same each time. Run from the repository's root: python3 scripts/vectors.py
"""

import base64
import hashlib
import hmac
import json
import struct
import uuid
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORMAT = b"project-vault/v1"


def subkey(secret, purpose):
    return HKDF(SHA256(), 32, None, FORMAT + b"/" + purpose).derive(secret)


def fields(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def i32(number):
    return struct.pack(">i", number)


def i64(number):
    return struct.pack(">q", number)


def option(part):
    return b"\x00" if part is None else b"\x01" + part


def each(function, value):
    return None if value is None else function(value)


def seal(key, nonce, associated, plaintext):
    return (nonce + AESGCM(key).encrypt(nonce, plaintext, associated)).hex()


secret = bytes(range(32))
project = "project:42/a#b*"
entry = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8057")
data_key = uuid.UUID("01890a5d-ac96-774b-bcce-b302099a8058")
version = 7


def associated(purpose):
    return fields(FORMAT, purpose, project.encode(), entry.bytes, i32(version), data_key.bytes)


def value():
    nonce = bytes(range(100, 112))
    plaintext = "sk-live-0123456789abc ü€😀\n"
    sealed = seal(subkey(secret, b"value"), nonce, associated(b"value"), plaintext.encode())
    return {"nonce": nonce.hex(), "plaintext": plaintext, "sealed": sealed}


def hint(nonce, masked, certificate):
    written = {"masked": masked}
    if certificate is not None:
        written["certificate"] = certificate
    plaintext = json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()
    sealed = seal(subkey(secret, b"hint"), nonce, associated(b"hint"), plaintext)
    return {"nonce": nonce.hex(), "masked": masked, "certificate": certificate, "sealed": sealed}


def wrapped():
    master = bytes(range(200, 232))
    master_key = "k-0a1b2c3d"
    nonce = bytes(range(30, 42))
    bound = fields(FORMAT, b"data-key", project.encode(), data_key.bytes, master_key.encode())
    text = f'current = "{master_key}"\n\n[keys]\n"{master_key}" = "{base64.b64encode(master).decode()}"\n'
    sealed = seal(subkey(master, b"wrap"), nonce, bound, secret)
    return {"keyring": text, "master_key": master_key, "nonce": nonce.hex(), "bytes": sealed}


def mac(encoded):
    return hmac.new(subkey(secret, b"row-mac"), encoded, hashlib.sha256).hexdigest()


def entry_row(row):
    encoded = fields(
        FORMAT,
        b"entry-row",
        project.encode(),
        entry.bytes,
        option(each(str.encode, row["milestone"])),
        row["name"].encode(),
        row["category"].encode(),
        option(each(i64, row["expires_at"])),
        bytes([row["disabled"]]),
        option(each(i64, row["deleted_at"])),
        i32(row["current_version"]),
        i32(row["revision"]),
        data_key.bytes,
    )
    return {**row, "mac": mac(encoded)}


def version_row(row):
    encoded = fields(
        FORMAT,
        b"version-row",
        project.encode(),
        entry.bytes,
        i32(row["version"]),
        i32(row["ciphertext_version"]),
        option(each(i32, row["restored_from"])),
        option(each(i64, row["not_after"])),
        data_key.bytes,
    )
    return {**row, "mac": mac(encoded)}


audit = bytes(range(60, 92))


def record(purpose, *texts):
    encoded = fields(FORMAT, purpose.encode(), *(option(each(str.encode, text)) for text in texts))
    mac = hmac.new(subkey(audit, b"audit"), encoded, hashlib.sha256).hexdigest()
    return {"purpose": purpose, "fields": texts, "mac": mac}


vectors = {
    "place": {
        "data_key_secret": secret.hex(),
        "project": project,
        "entry": str(entry),
        "version": version,
        "data_key": str(data_key),
    },
    "value": value(),
    "hints": [
        hint(bytes(range(1, 13)), "ü€😀****\"\\x", None),
        hint(
            bytes(range(2, 14)),
            "****",
            {
                "subject": "CN=example.test, O=A\\, B",
                "issuer": "CN=An issuer",
                "not_before": 1893456000000,
                "not_after": 1924991999000,
                "fingerprint": hashlib.sha256(b"der").hexdigest(),
            },
        ),
    ],
    "wrapped": wrapped(),
    "entry_rows": [
        entry_row(
            {
                "milestone": None,
                "name": "API_TOKEN",
                "category": "API_KEY",
                "expires_at": None,
                "disabled": False,
                "deleted_at": None,
                "current_version": 1,
                "revision": 1,
            }
        ),
        entry_row(
            {
                "milestone": "m-1",
                "name": "PASSWORD",
                "category": "PASSWORD",
                "expires_at": 1893456000123,
                "disabled": True,
                "deleted_at": -1,
                "current_version": 12,
                "revision": 2147483647,
            }
        ),
    ],
    "version_rows": [
        version_row({"version": 1, "ciphertext_version": 1, "restored_from": None, "not_after": None}),
        version_row({"version": 9, "ciphertext_version": 7, "restored_from": 7, "not_after": 1924991999000}),
    ],
    "records": {
        "key": audit.hex(),
        "macs": [
            record("audit-event", str(entry), "1", None, "", "user:zoë"),
            record("audit-chain", str(entry), None, None, None),
            record("audit-cut", str(entry), "17", "00" * 32),
            record("outbox", f"project:{project}", '{"change":{}}'),
            record("installation-setting", "openfga.store", "01J0000000000000000000000A"),
            record("data-key-state", str(data_key), project, "k-0a1b2c3d", "true", "false"),
            record("replaced-data-key", str(data_key), project, "2030-01-01T00:00:00.000Z"),
            record("project-row", project, "ACTIVE", "1893456000000", "SUFFIXED", " A B ", "3", "ab" * 32),
            record("milestone-row", "m-1", project, "1893456000000", None, "false", "3"),
        ],
    },
}

path = Path("tests/vectors/crypto.json")
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(json.dumps(vectors, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
