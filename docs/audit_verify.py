#!/usr/bin/env python3
"""Verifies `project-vault audit export --chains` with the keyring alone, apart from the vault's own code.

    python3 docs/audit_verify.py keyring.toml export.jsonl

Needs Python 3.11 and the package `cryptography`. The formats are in docs/security.md.
"""
import base64, hashlib, hmac, json, struct, sys, tomllib
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORMAT = b"project-vault/v1"
FIELDS = ["chain", "seq", "prev", "id", "occurredAt", "projectId", "action", "outcome", "reason", "count", "actor", "subject",
          "role", "agentId", "entryId", "entryName", "entryVersion", "entryRevision", "milestoneId", "purpose", "sessionId",
          "tool", "requestId"]

def subkey(secret, purpose):
    return HKDF(SHA256(), 32, None, FORMAT + b"/" + purpose).derive(secret)

def encode(*parts):
    return b"".join(struct.pack(">I", len(part)) + part for part in (FORMAT, *parts))

def option(text):
    return b"\0" if text is None else b"\1" + text.encode()

def audit_key(keyring, line):
    master = base64.b64decode(keyring["keys"][line["masterKey"]])
    wrapped = base64.b64decode(line["wrapped"])
    bound = encode(b"installation-key", b"AUDIT", line["masterKey"].encode())
    return subkey(AESGCM(subkey(master, b"wrap")).decrypt(wrapped[:12], wrapped[12:], bound), b"audit")

def main(keyring, export):
    key, chains, events, wrong = None, {}, {}, []
    for line in map(json.loads, open(export, encoding="utf-8")):
        if "auditKey" in line:
            key = audit_key(tomllib.load(open(keyring, "rb")), line["auditKey"])
        elif "auditChain" in line:
            chains[line["auditChain"]] = line
        else:
            events.setdefault(line["chain"], []).append(line)
    mac = lambda purpose, fields: hmac.digest(key, encode(purpose, *map(option, fields)), hashlib.sha256).hex()
    for name, chain in chains.items():
        anchor, cut = chain["anchor"] or {}, chain["cut"]
        last, prev = 0, mac(b"audit-chain", [name, anchor.get("chain"), anchor.get("seq"), anchor.get("mac")])
        if cut:
            last, prev = int(cut["seq"]), cut["eventMac"]
            if mac(b"audit-cut", [name, cut["seq"], cut["eventMac"]]) != cut["mac"]:
                wrong.append(f"chain {name}: its cut was changed")
        start = last
        for event in sorted(events.pop(name, []), key=lambda event: int(event["seq"])):
            seq = int(event["seq"])
            if mac(b"audit-event", [event[field] for field in FIELDS]) != event["mac"]:
                wrong.append(f"chain {name}, event {seq}: changed")
            if seq > start:
                if seq != last + 1:
                    wrong.append(f"chain {name}: events {last + 1} to {seq - 1} are missing")
                elif event["prev"] != prev:
                    wrong.append(f"chain {name}, event {seq}: does not follow the one before it")
                last, prev = seq, event["mac"]
    wrong += [f"chain {name}: unknown" for name in events]
    print("\n".join(wrong) or f"{len(chains)} chains are whole")
    return 1 if wrong else 0

sys.exit(main(*sys.argv[1:]))
