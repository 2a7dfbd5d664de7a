"""The settings of the environment, and the token."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from ._encoding import from_base64url

# The largest file of a token, in bytes.
_MAX_FILE = 1024 * 1024


def setting(name: str) -> str | None:
    return os.environ.get(f"PROJECT_VAULT_{name}") or None


class Token:
    """A token that nothing prints: its ``repr`` is what tracebacks with local variables show."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        # Mounted secrets end with a line's end, and some editors put a byte order mark before it.
        self._text = text.strip().strip("\ufeff").strip()

    def __repr__(self) -> str:
        return "<token>"

    def check(self) -> None:
        """Raises ValueError where a header cannot carry it: the library would repeat it."""
        if not re.fullmatch(r"[!-~]+", self._text):
            raise ValueError("PROJECT_VAULT_TOKEN is no token; a token is one line of visible ASCII")

    def header(self) -> str:
        return f"Bearer {self._text}"

    def claims(self) -> dict[str, Any]:
        """What it says, unchecked: good for defaults only."""
        try:
            claims = json.loads(from_base64url(self._text.split(".")[1]))
        except (IndexError, ValueError, RecursionError):
            return {}
        return claims if isinstance(claims, dict) else {}

    def removed_from(self, text: str) -> str:
        """A text of the server, which could repeat the token."""
        return text.replace(self._text, "[token]")


def given_token() -> Token:
    """The token of the environment."""
    if setting("TOKEN"):
        return _of_bytes(os.fsencode(setting("TOKEN") or ""))
    path = setting("TOKEN_FILE")
    if path is None:
        raise ValueError("PROJECT_VAULT_TOKEN is not set")
    token, problem = _read(path)
    # The path could be the token itself, in the wrong variable.
    del path
    if token is None:
        raise ValueError(f"PROJECT_VAULT_TOKEN_FILE: the file it names cannot be read: {problem}")
    return token


def _read(path: str) -> tuple[Token | None, str]:
    """The token of a file or pipe, or why there is none."""
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_FILE + 1)
    except OSError as error:
        return None, error.strerror or type(error).__name__
    if len(content) > _MAX_FILE:
        return None, "it is larger than 1 MiB"
    return _of_bytes(content), ""


def _of_bytes(given: bytes) -> Token:
    """What is no UTF-8 becomes a character that no token has."""
    return Token(given.decode("utf-8", "replace"))
