#!/usr/bin/env python3
"""A tool that uses a secret by name: it signs standard input like the sender of a webhook, and prints
the signature.

It asks the vault when it needs the secret, so the secret is in no environment variable and no file:

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
        message = "is not in the project's vault; ask somebody who is Responsible to add it"
        print(f"{name} {message}", file=sys.stderr)
        return 1
    except VaultError as error:
        print(f"no signature: {error}", file=sys.stderr)
        return 1
    body = sys.stdin.buffer.read()
    print("sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest())
    return 0


if __name__ == "__main__":
    sys.exit(main())
