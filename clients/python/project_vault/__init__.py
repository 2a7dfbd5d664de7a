"""Resolves an agent's secrets from Project Vault, sealed for this process.

``resolve("NAME")`` gives one secret to a tool, ``session_env()`` all of them to a coding session. A
session receives no name by which programs find or run code, nothing that ``provided`` has, and
nothing that was not asked for, whatever a server answers; ``Vault.session()`` says what was left out.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import random
import re
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from pyhpke import AEADId, CipherSuite, KDFId, KEMId, PyHPKEError
from pyhpke.kem_key import KEMKey

from ._encoding import base64url, fields, from_base64url
from ._names import is_reserved
from ._settings import Token, given_token, setting

__all__ = [
    "Expired",
    "LeftOut",
    "LeftOutWarning",
    "NotFound",
    "Refused",
    "Secret",
    "Session",
    "Unreachable",
    "Vault",
    "VaultError",
    "is_reserved",
    "resolve",
    "session_env",
]

_SUITE = CipherSuite.new(KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.AES256_GCM)
_DOCUMENT = (
    "query($input: ResolveSecretsInput!) { resolveSecrets(input: $input) { requestId secrets"
    " { name outcome sealedValue entryId version category scope expiresAt } leftOut { name reason } } }"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ATTEMPTS = 4
# The longest that one attempt may take, in seconds.
_ATTEMPT = 15.0
_MAX_PAUSE = 10.0
_MAX_ANSWER = 16 * 1024 * 1024
# The longest text of a server that a message repeats, in characters.
_MAX_SHOWN = 1_000

Outcome = Literal["RESOLVED", "EXPIRED", "PROVIDED_BY_WORKSPACE", "NOT_FOUND"]
Purpose = Literal["CODING_SESSION", "TOOL_EXECUTION"]
# RESERVED_NAME and NAME_NOT_SUFFIXED are the vault's reasons; another one of it is UNKNOWN. The client
# has the others, and leaves out reserved names itself, whatever the vault answers.
Reason = Literal["RESERVED_NAME", "NAME_NOT_SUFFIXED", "NOT_ASKED_FOR", "PROVIDED", "NOT_A_NAME", "UNKNOWN"]


class VaultError(Exception):
    """The vault gave no value. No message holds a value or the token, nor characters that steer a terminal."""


class NotFound(VaultError):
    """No entry for this agent bears the name."""


class Expired(VaultError):
    """Only an expired entry bears the name."""


class Refused(VaultError):
    """The token is not good for this."""


class Unreachable(VaultError):
    """The vault cannot be asked, failed, or its answer was changed on the way."""


@dataclass(frozen=True)
class Secret:
    """The answer for one name. The value is not in its ``repr``."""

    name: str
    outcome: Outcome
    value: str | None
    entry_id: str | None
    version: int | None
    category: str | None
    scope: str | None
    expires_at: str | None

    def __repr__(self) -> str:
        return f"Secret(name={self.name!r}, outcome={self.outcome!r})"


@dataclass(frozen=True)
class LeftOut:
    """A name that is left out. The name is ``None`` where no variable can have it."""

    name: str | None
    reason: Reason


@dataclass(frozen=True)
class Session:
    """What a coding session receives. No value is in its ``repr``."""

    env: dict[str, str] = field(repr=False)
    left_out: tuple[LeftOut, ...]


class LeftOutWarning(UserWarning):
    """Names were left out of a session. ``left_out`` lists them."""

    def __init__(self, left_out: tuple[LeftOut, ...]) -> None:
        listed = [f"{left.name or 'a name that no variable can have'} ({left.reason})" for left in left_out]
        more = f", and {len(listed) - 20} more" if len(listed) > 20 else ""
        super().__init__(f"left out of the session: {', '.join(listed[:20])}{more}")
        self.left_out = left_out


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is for one address and no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Vault:
    """One agent's view of one project. What is left out comes from the environment, or from what the token is narrowed to."""

    def __init__(
        self,
        *,
        url: str | None = None,
        token: str | None = None,
        project: str | None = None,
        agent: str | None = None,
        milestone: str | None = None,
        session_id: str | None = None,
        tool: str | None = None,
        timeout: float = 30.0,
        insecure_http: bool = False,
    ) -> None:
        self._url = url or setting("URL") or "http://127.0.0.1:4000/graphql"
        self._token = Token(token) if token else given_token()
        # No traceback that shows local variables shows it.
        del token
        self._token.check()
        claims = self._token.claims()
        self._project = project or setting("PROJECT") or claims.get("vault:project")
        self._agent = agent or setting("AGENT") or claims.get("vault:agent")
        self._milestone = milestone or setting("MILESTONE") or claims.get("vault:milestone")
        self._session_id = session_id or setting("SESSION_ID")
        self._tool = tool or setting("TOOL")
        self._timeout = timeout
        if not self._project or not self._agent:
            raise ValueError("say which project and agent: PROJECT_VAULT_PROJECT and PROJECT_VAULT_AGENT")
        parts = urlsplit(self._url)
        if parts.scheme not in ("http", "https") or parts.username or parts.password:
            raise ValueError("PROJECT_VAULT_URL is no address such as https://vault.example/graphql")
        local = parts.scheme == "http" and _is_loopback(parts.hostname or "")
        if parts.scheme == "http" and not (insecure_http or local):
            raise ValueError("PROJECT_VAULT_URL is http, over which everybody on the way can read the token; use https")
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if parts.scheme == "http":
            handlers.append(urllib.request.ProxyHandler({}))  # A proxy would see the token.
        self._opener = urllib.request.build_opener(*handlers)

    def resolve(self, name: str) -> str:
        """The value of one secret, for a tool. Raises NotFound or Expired where there is none."""
        answers = self.answers([name], purpose="TOOL_EXECUTION")
        secret = next((answer for answer in answers if answer.name == name), None)
        if secret is None or secret.value is None:
            if secret and secret.outcome == "EXPIRED":
                raise Expired(f"{name}: expired; ask a Responsible person of the project to rotate it")
            raise NotFound(f"{name}: not found for this agent")
        return secret.value

    def session_env(self, provided: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a coding session's environment gets beside ``provided`` (``os.environ`` when left out), which wins.

        Warns with a ``LeftOutWarning`` where names are left out.
        """
        return _env(self.session(provided))

    def session(self, provided: Mapping[str, str] | None = None) -> Session:
        """As ``session_env``, with what is left out instead of a warning."""
        given = os.environ if provided is None else provided
        names = [name for name in given if _NAME.fullmatch(name) and not is_reserved(name)]
        secrets, left_out = self._screened(None, "CODING_SESSION", names)
        env = {secret.name: secret.value for secret in secrets if secret.value is not None and secret.name not in given}
        return Session(env, tuple(left_out))

    def answers(
        self, names: Iterable[str] | None, *, purpose: Purpose, provided: Iterable[str] = ()
    ) -> list[Secret]:
        """Every name's answer; of all names the agent may use when ``names`` is None.

        What was not asked for is left out, and without ``names`` also what a session must not receive.
        """
        return self._screened(names, purpose, provided)[0]

    def _screened(
        self, names: Iterable[str] | None, purpose: Purpose, provided: Iterable[str]
    ) -> tuple[list[Secret], list[LeftOut]]:
        names, provided = None if names is None else list(names), list(provided)
        pair = _SUITE.kem.derive_key_pair(os.urandom(32))
        public = pair.public_key.to_public_bytes()
        answer = self._ask(
            {
                "projectId": self._project,
                "agentId": self._agent,
                "milestoneId": self._milestone,
                "names": names,
                "providedNames": provided,
                "purpose": purpose,
                "sessionId": self._session_id,
                "tool": self._tool,
                "recipientKey": base64url(public),
            }
        )
        info = fields("sealed", self._project or "", self._agent or "", answer["requestId"])
        kept, left_out = _screen(answer["secrets"], names, provided)
        told = [_left_out(left["name"], _reason(left["reason"])) for left in answer.get("leftOut") or []]
        return [self._secret(secret, pair.private_key, info) for secret in kept], told + left_out

    def _secret(self, answer: dict[str, Any], private: KEMKey, info: bytes) -> Secret:
        value = _opened(answer, private, info) if answer["outcome"] == "RESOLVED" else None
        if answer["outcome"] == "RESOLVED" and value is None:
            raise Unreachable(f"{self._shown(answer['name'])}: what arrived is not what the vault sealed for this call")
        return Secret(
            answer["name"], answer["outcome"], value, answer["entryId"], answer["version"],
            answer["category"], answer["scope"], answer["expiresAt"],
        )

    def _ask(self, given: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps({"query": _DOCUMENT, "variables": {"input": given}}).encode()
        until = time.monotonic() + self._timeout
        reason = ""
        for attempt in range(1, _ATTEMPTS + 1):
            pause = random.uniform(0.5, 1.0) * 0.2 * 2 ** (attempt - 1)
            try:
                return self._attempt(body, min(_ATTEMPT, until - time.monotonic()))
            except _Again as again:
                reason, pause = str(again), again.after or pause
            pause = min(pause, _MAX_PAUSE)
            if attempt == _ATTEMPTS or time.monotonic() + pause > until:
                break
            time.sleep(pause)
        raise Unreachable(f"the vault cannot be asked: {reason}")

    # Errors are raised outside of ``except``: the library's errors, and the frames of their tracebacks,
    # hold the request with its token, and would be the context of ours.
    def _attempt(self, body: bytes, seconds: float) -> dict[str, Any]:
        again: tuple[str, float | None] | None = None
        failed, received = "", b""
        try:
            received = _within(seconds, lambda: self._send(body))
        except urllib.error.HTTPError as error:
            if error.code in (408, 429, 502, 503, 504):
                after = error.headers.get("Retry-After") or ""
                again = f"it answers {error.code}", float(after) if after.isascii() and after.isdigit() else None
            else:
                failed = f"the vault's address answers {error.code}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            again = type(error).__name__, None
        if failed:
            raise Unreachable(failed)
        if again:
            raise _Again(*again)
        return self._judge(_parse(received))

    def _send(self, body: bytes) -> bytes:
        headers = {"Authorization": self._token.header(), "Content-Type": "application/json", "Accept": "application/json"}
        request = urllib.request.Request(self._url, body, headers, method="POST")
        del headers
        refused = ""
        try:
            with self._opener.open(request, timeout=min(_ATTEMPT, self._timeout)) as response:
                return _read_all(response)
        except urllib.error.HTTPError as error:
            # Read here, where the time is limited.
            with error:
                if error.code not in (401, 403):
                    raise
                refused = self._message(error)
        raise Refused(refused)

    def _message(self, error: urllib.error.HTTPError) -> str:
        try:
            return self._shown(json.loads(error.read(65536))["errors"][0]["message"])
        except (ValueError, KeyError, IndexError, TypeError, RecursionError, OSError, http.client.HTTPException):
            return f"the vault refuses: {error.code}"

    def _shown(self, text: Any) -> str:
        return _printable(self._token.removed_from(str(text)))

    def _judge(self, answer: dict[str, Any]) -> dict[str, Any]:
        errors, data = answer.get("errors") or [], answer.get("data") or {}
        if not (isinstance(errors, list) and all(isinstance(error, dict) for error in errors) and isinstance(data, dict)):
            raise Unreachable("the answer is none of a vault's")
        for error in errors:
            extensions = error.get("extensions")
            if not isinstance(extensions, dict):
                extensions = {}
            code = extensions.get("code", "")
            message = f"{self._shown(error.get('message'))} ({self._shown(extensions.get('requestId'))})"
            if code in ("UNAUTHENTICATED", "FORBIDDEN"):
                raise Refused(message)
            if code in ("UNAVAILABLE", "RATE_LIMITED"):
                after = extensions.get("retryAfterSeconds")
                raise _Again(message, after if isinstance(after, (int, float)) and after >= 0 else None)
            if code in ("INVALID_INPUT", "LIMIT_EXCEEDED"):
                raise ValueError(message)
            raise Unreachable(f"the vault failed: {message}")
        found = data.get("resolveSecrets")
        if not _is_answer(found):
            raise Unreachable("the answer is none of a vault's")
        return found


class _Again(Exception):
    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


def resolve(name: str) -> str:
    """The value of one secret, by the settings of the environment."""
    return Vault().resolve(name)


def session_env() -> dict[str, str]:
    """What a coding session's environment gets beside what it has, by the settings of the environment."""
    return _env(Vault().session())


def _env(session: Session) -> dict[str, str]:
    """The session's variables; warns the caller's caller about what is left out."""
    if session.left_out:
        warnings.warn(LeftOutWarning(session.left_out), stacklevel=3)
    return session.env


def _reason(told: str) -> Reason:
    """The vault's reason, unless this release does not know it: it may be any text."""
    if told == "RESERVED_NAME" or told == "NAME_NOT_SUFFIXED":
        return told
    return "UNKNOWN"


def _left_out(name: Any, reason: Reason) -> LeftOut:
    return LeftOut(name if isinstance(name, str) and _NAME.fullmatch(name) else None, reason)


def _opened(answer: dict[str, Any], private: KEMKey, info: bytes) -> str | None:
    """A value, unless it was not sealed for this call. The errors of the library would hold it."""
    try:
        sealed = from_base64url(answer["sealedValue"])
        place = fields("sealed-value", answer["entryId"], str(answer["version"]), answer["name"])
        return _SUITE.create_recipient_context(sealed[:32], private, info=info).open(sealed[32:], place).decode()
    except (PyHPKEError, ValueError, TypeError, AttributeError):
        return None


def _screen(
    answers: list[dict[str, Any]], names: list[str] | None, provided: list[str]
) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    """The answers that were asked for, each once, and what of the others is left out."""
    asked, given, seen = None if names is None else set(names), set(provided), set()
    kept, left_out = [], []
    for answer in answers:
        name, outcome = answer["name"], answer["outcome"]
        reason: Reason | None = None
        if not isinstance(name, str):
            reason = "NOT_A_NAME"
        elif name in seen or (asked is not None and name not in asked):
            reason = "NOT_ASKED_FOR"
        elif not _NAME.fullmatch(name):
            # Asking for what is no name is answered NOT_FOUND.
            reason = "NOT_A_NAME" if asked is None or outcome == "RESOLVED" else None
        elif outcome == "RESOLVED" and name in given:
            reason = "PROVIDED"
        elif asked is None and outcome in ("RESOLVED", "EXPIRED") and is_reserved(name):
            reason = "RESERVED_NAME"
        if reason is None:
            seen.add(name)
            kept.append(answer)
        else:
            left_out.append(_left_out(name, reason))
    return kept, left_out


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _printable(text: Any) -> str:
    """A text of the server on one line, without what would steer a terminal."""
    shown = str(text)[:_MAX_SHOWN]
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """What ``work`` gives, unless it takes longer: a server that sends a byte now and then keeps nobody waiting."""
    done: list[bytes] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # Raised again below, in the thread that asked.
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise TimeoutError
    return done[0]


def _read_all(response: http.client.HTTPResponse) -> bytes:
    """The body, unless it is larger than any answer."""
    body = bytearray()
    while piece := response.read1(65536):
        body += piece
        if len(body) > _MAX_ANSWER:
            raise Unreachable("the vault's answer is larger than 16 MiB")
    if response.length:
        raise http.client.IncompleteRead(b"")
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise Unreachable("the answer is none of a vault's")
    return answer


def _is_answer(found: Any) -> bool:
    """Whether the field is there with everything that is read from it."""
    told = found.get("leftOut") if isinstance(found, dict) else None
    members = {"name", "outcome", "sealedValue", "entryId", "version", "category", "scope", "expiresAt"}
    return (
        isinstance(found, dict)
        and isinstance(found.get("requestId"), str)
        and found["requestId"].isascii()
        and isinstance(found.get("secrets"), list)
        and all(
            isinstance(secret, dict) and members <= secret.keys() and isinstance(secret["name"], str)
            for secret in found["secrets"]
        )
        and (told is None or isinstance(told, list))
        and all(
            isinstance(left, dict) and isinstance(left.get("name"), str) and isinstance(left.get("reason"), str)
            for left in told or []
        )
    )
