"""The loopback server behind `tracekit open`."""

import io
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tracekit.errors import TracekitError
from tracekit.trace.perfetto.serve import ORIGIN, serving


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "a b.json"
    path.write_text('{"traceEvents": []}')
    return path


def test_the_trace_is_served_with_the_header_that_perfetto_needs(trace: Path) -> None:
    with serving(trace, name=trace.name, port=0) as server:
        url = server.address.split("url=")[1]
        assert server.address.startswith(f"{ORIGIN}/#!/?url=http://127.0.0.1:")
        assert not server.fetched.is_set()
        with urllib.request.urlopen(url) as answer:
            assert answer.read() == trace.read_bytes()
            assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert server.fetched.wait(5)


@pytest.mark.parametrize("path", ["/", "/etc/passwd", "/trace/..%2f..%2fetc%2fpasswd", "/trace/x"])
def test_nothing_but_the_trace_is_served(trace: Path, path: str) -> None:
    with serving(trace, name=trace.name, port=0) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}{path}"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url)


def test_the_offline_ui_is_served_and_nothing_outside_its_folder(
    trace: Path, tmp_path: Path
) -> None:
    ui = tmp_path / "ui"
    ui.mkdir()
    (ui / "index.html").write_text("<p>ui</p>")
    with serving(trace, name=trace.name, ui=ui, port=0) as server:
        here = f"http://127.0.0.1:{server.server_address[1]}"
        assert server.address.startswith(f"{here}/#!/?url={here}/trace/")
        with urllib.request.urlopen(f"{here}/") as answer:
            assert answer.read() == b"<p>ui</p>"
            assert answer.headers["Content-Type"] == "text/html"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{here}/%2e%2e/{trace.name.replace(' ', '%20')}")


def test_a_page_that_claims_another_host_is_refused(trace: Path) -> None:
    with serving(trace, name=trace.name, port=0) as server:
        request = urllib.request.Request(
            server.address.split("url=")[1], headers={"Host": "evil.example"}
        )
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(request)


def test_a_taken_port_is_one_clear_line(trace: Path) -> None:
    with serving(trace, name=trace.name, port=0) as server:
        taken = int(server.server_address[1])
        with (
            pytest.raises(TracekitError, match="port is taken"),
            serving(trace, name=trace.name, port=taken),
        ):
            pass


def test_only_the_whole_address_gives_the_trace(trace: Path) -> None:
    with serving(trace, name=trace.name, port=0) as server, serving(name="b", port=0) as other:
        url = server.address.split("url=")[1]
        here, _, token, name = url.removeprefix("http://").split("/")
        assert len(token) >= 20
        assert token not in other.address
        for path in (name, f"trace/{name}", f"trace/{token}", f"trace/{token[:-1]}x/{name}"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://{here}/{path}")
        with pytest.raises(urllib.error.HTTPError, match="404"):  # not prepared yet
            urllib.request.urlopen(other.address.split("url=")[1])


def test_a_transfer_under_way_ends_before_the_server_does(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b"x" * (8 << 20))
    with serving(large, name="large.json", port=0) as server:
        answer = urllib.request.urlopen(server.address.split("url=")[1])
        first = answer.read(1000)
        rest: list[bytes] = []
        reader = threading.Timer(0.2, lambda: rest.append(answer.read()))
        reader.start()
    reader.join(20)
    assert len(first + rest[0]) == 8 << 20
    assert server.fetched.is_set()


def test_who_reads_the_address_through_a_pipe_gets_it_while_it_is_served(
    trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tracekit.cli import process
    from tracekit.cli.app import app
    from tracekit.trace.perfetto import serve

    monkeypatch.setattr(serve.serving.__wrapped__, "__kwdefaults__",  # type: ignore[attr-defined]
                        {"ui": None, "port": 0})  # fmt: skip
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw), "utf-8"))  # type: ignore[type-var]
    read: list[bytes] = []

    def browser(address: str) -> None:
        assert raw.getvalue().decode() == f"{address}\n"
        read.append(urllib.request.urlopen(address.split("url=")[1]).read())

    monkeypatch.setattr("webbrowser.open", browser)
    assert process.run(lambda: app(["open", str(trace), "--raw"])) == 0
    assert read == [trace.read_bytes()]


def test_a_taken_port_is_told_before_the_trace_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tracekit.cli import process
    from tracekit.cli.app import app
    from tracekit.trace.perfetto import serve

    with serving(name="other", port=0) as taken:
        monkeypatch.setattr(serve.serving.__wrapped__, "__kwdefaults__",  # type: ignore[attr-defined]
                            {"ui": None, "port": taken.server_address[1]})  # fmt: skip
        absent = str(tmp_path / "no.json")
        assert process.run(lambda: app(["open", absent, "--no-browser"])) == 1
    assert "port is taken" in capfd.readouterr().err
