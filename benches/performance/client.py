"""HTTP with connections that are kept, and loading through them with several threads."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

LOADERS = 16


class Client:
    """Sends JSON to one server on loopback; each thread has its own connection."""

    def __init__(self, port, headers=None):
        self.port = port
        self.headers = {"Content-Type": "application/json", **(headers or {})}
        self.local = threading.local()

    def request(self, method, path, body=None, headers=None):
        """The status and the text of an answer."""
        data = None if body is None else json.dumps(body)
        for last in (False, True):
            connection = getattr(self.local, "connection", None)
            if connection is None:
                connection = self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
            try:
                connection.request(method, path, data, {**self.headers, **(headers or {})})
                response = connection.getresponse()
                return response.status, response.read().decode()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # The server closed an idle connection.
                connection.close()
                self.local.connection = None
                if last:
                    raise

    def json(self, method, path, body=None, headers=None):
        status, text = self.request(method, path, body, headers)
        if status >= 300:
            raise RuntimeError(f"{method} {path} gave {status}: {text[:500]}")
        return json.loads(text) if text else None


def in_parallel(work, items, threads=LOADERS):
    """Calls `work` with each item; the first failure ends it."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            for _ in pool.map(work, items):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
