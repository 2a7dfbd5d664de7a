#!/usr/bin/env python3
"""A tool that uses a secret by name: it signs standard input as a webhook's sender does, and prints the signature.

It asks the vault at the moment it needs the secret, so nobody has to put it into its environment or files:

    echo '{"event": "push"}' | python examples/sign_webhook.py WEBHOOK_SECRET
"""

import hashlib
import hmac
import sys

from project_vault import NotFound, Vault, VaultError


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else "WEBHOOK_SECRET"
    try:
        secret = Vault(tool="sign_webhook").resolve(name)
    except NotFound:
        print(f"{name} is not in the project's vault; ask who is Responsible to add it", file=sys.stderr)
        return 1
    except VaultError as error:
        print(f"no signature: {error}", file=sys.stderr)
        return 1
    body = sys.stdin.buffer.read()
    print("sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
