"""The encodings of the vault's API."""

from __future__ import annotations

import base64


def fields(*texts: str) -> bytes:
    """Each text in UTF-8 with its length in front, in four bytes."""
    parts = [text.encode() for text in ("project-vault/v1", *texts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
