"""The page in a real browser: charts are drawn, tables work, nothing leaves the machine."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import real
from tests.integration.test_report import EVIL, kineto
from tracekit.comparison import compare, runs
from tracekit.report import traces as report
from tracekit.report.diff import page as difference
from tracekit.results import engine

pytestmark = pytest.mark.browser

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    with api.sync_playwright() as play:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--host-resolver-rules=MAP * ~NOTFOUND"]  # fmt: skip
        opened = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield opened
        opened.close()


class Opened:
    """A page with all charts drawn, and what went wrong on the way."""

    def __init__(
        self,
        browser: Any,
        path: Path,
        *,
        width: int = 1280,
        dark: bool = False,
        touch: bool = False,
    ) -> None:
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
            has_touch=touch,
            is_mobile=touch,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)  # a loaded machine is no fault
        # what a page draws while nothing else is to do depends on the machine: see below
        self.page.add_init_script("window.requestIdleCallback = undefined")
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda fault: self.faults.append(str(fault)))
        self.page.on("dialog", lambda box: (self.faults.append(box.message), box.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function(
            "() => window.Plotly && [...document.querySelectorAll('.chart')]"
            ".every(c => c.dataset.later || c.querySelector('.main-svg'))",
            timeout=60_000,
            polling=100,  # else each frame, which draws one
        )
        self.nodes, self.waiting = self.page.evaluate(
            "['*', '.chart[data-later]'].map(what => document.querySelectorAll(what).length)"
        )

    def drawn(self) -> None:
        """Draws what waits until it comes near."""
        self.page.evaluate(
            """async () => {
              for (const box of document.querySelectorAll('.chart[data-later]')) {
                box.scrollIntoView();
                while (box.dataset.later) await new Promise(done => setTimeout(done, 20));
              }
            }"""
        )
        self.page.wait_for_function(
            "() => ![...document.querySelectorAll('.chart')].some(c => "
            "!c.querySelector('.main-svg'))"
        )

    def _said(self, message: Any) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    def as_opened(self) -> None:
        """No other medium, colours or faults than those of the beginning."""
        self.page.emulate_media(media="null", color_scheme="light", forced_colors="null")
        self.faults.clear()

    def rows(self, table: str) -> list[str]:
        """The first cell of each row that is shown."""
        found: list[str] = self.page.evaluate(
            "id => [...document.getElementById(id).tBodies[0].rows].filter(r => !r.hidden)"
            ".map(r => r.cells[0].textContent)",
            table,
        )
        return found


def written(tmp_path: Path, *traces: Path | str) -> Path:
    """The page of files, or of real traces by their names."""
    many = [real.answers(t) if isinstance(t, str) else engine.answers(t) for t in traces]
    return report.write(many, tmp_path / "p.html", command="c")


@pytest.fixture(scope="module")
def gpu(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The page of a real trace of a GPU: to open it takes a browser seconds."""
    return Opened(browser, written(tmp_path_factory.mktemp("gpu"), *KINDS["gpu"]))


@pytest.fixture(scope="module")
def opened(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    folder = tmp_path_factory.mktemp("drawn")
    path = kineto(folder / "a.json.gz", tracekit={"model": "m"})
    return Opened(browser, written(folder, path))


@pytest.fixture
def drawn(opened: Opened) -> Opened:
    """The page of a drawn trace, as it was opened."""
    opened.as_opened()
    return opened


def fits(at: Opened, *widths: int) -> None:
    """Nothing is wider than the screen, as it was opened and at these widths."""
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert at.page.evaluate(wide) == 0
    for width in widths:
        at.page.set_viewport_size({"width": width, "height": 900})
        at.page.wait_for_timeout(100)  # charts follow
        assert at.page.evaluate(wide) == 0, width


KINDS = {
    "gpu": ["tl_h100_qwen15_05b"],
    "cpu": ["hta_cpu_only_full"],
    "engine": ["tl_sglang_decode"],
    "a name wider than its block": ["tl_vllm_prefilldecode_piecewise"],
    "several": ["hta_sampled_rank0", "hta_sampled_rank1"],
    "few events": ["hta_et_simple_add"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_is_drawn_without_an_error_or_a_request(
    kind: str, browser: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    at: Opened = (
        request.getfixturevalue("gpu")
        if kind == "gpu"
        else Opened(browser, written(tmp_path, *KINDS[kind]))
    )
    assert at.nodes <= 6000
    assert at.waiting > 0 or kind in ("cpu", "few events")  # at hand before its last chart
    at.drawn()
    assert at.faults == []
    assert [url for url in at.requests if not url.startswith(("file:", "blob:", "data:"))] == []
    empty = at.page.evaluate(
        "() => [...document.querySelectorAll('.js-plotly-plot')]"
        ".filter(c => !c.querySelector('.plot path, .overplot path')).map(c => c.id)"
    )
    assert empty == []
    tiny = at.page.evaluate(
        "() => [...document.querySelectorAll('.bartext')].filter(t => t.textContent && "
        "t.style.display !== 'none' && t.getBoundingClientRect().height < 10)"
        ".map(t => t.textContent)"
    )
    assert tiny == []  # a name that does not fit is cut or left out, never shrunk
    assert at.faults == []


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1920, True)], ids=["light", "dark"])
def test_nothing_is_wider_than_the_screen_and_the_scheme_is_the_readers(
    width: int, dark: bool, browser: Any, tmp_path: Path
) -> None:
    path = kineto(tmp_path / "a.json.gz")
    at = Opened(browser, written(tmp_path, path), width=width, dark=dark)
    fits(at, 1280, 390, 1920)
    back = at.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == ("rgb(18, 22, 28)" if dark else "rgb(255, 255, 255)")
    paper = at.page.evaluate("document.querySelector('.js-plotly-plot')._fullLayout.paper_bgcolor")
    assert paper == ("#12161c" if dark else "#ffffff")
    assert at.page.screenshot(full_page=True)[:4] == b"\x89PNG"


def test_rows_that_wait_stay_in_their_table_however_often_a_fold_is_opened(
    browser: Any, tmp_path: Path
) -> None:
    path = tmp_path / "stages.json"
    marks = [
        {"ph": "X", "cat": "user_annotation", "name": f"stage {i}", "pid": 1, "tid": 1,
         "ts": 10 * i, "dur": 8, "args": {}}
        for i in range(300)
    ]  # fmt: skip
    path.write_text(json.dumps({"traceEvents": marks}))
    at = Opened(browser, written(tmp_path, path), width=390)
    for opened in (True, False, True):
        at.page.evaluate(
            "to => document.querySelectorAll('details').forEach(d => d.open = to)", opened
        )
        at.page.wait_for_timeout(50)  # the event comes after the change
    lost = "[...document.querySelectorAll('tr')].filter(r => !r.closest('table')).length"
    assert at.page.evaluate(lost) == 0
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert at.page.evaluate(wide) == 0
    table = "tk-overview-stage-split-table"
    at.page.evaluate("id => document.querySelector(`[data-all=${id}]`).click()", table)
    assert at.rows(table) == [f"stage {i}" for i in range(len(at.rows(table)))]
    assert len(at.rows(table)) > 25
    assert at.faults == []


def test_a_long_name_without_a_space_does_not_widen_a_small_screen(
    browser: Any, tmp_path: Path
) -> None:
    path = kineto(tmp_path / "a.json.gz")
    whole = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(whole.replace("tracekit::", "x" * 90).encode()))
    at = Opened(browser, written(tmp_path, path), width=390)
    at.page.evaluate("() => document.querySelectorAll('details').forEach(d => d.open = true)")
    assert "x" * 90 in at.page.inner_text("#overview")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert at.page.evaluate(wide) == 0


NAMES = [
    EVIL,
    "</script><!-- ]]> stage",
    "<b>bold</b> stage",
    '<a href="javascript:alert(4)">link</a>',
    "line\u2028and\u2029paragraph",
    "{{7*7}}{% raw %}",
    "%{x} %{customdata[0]}",
    "&lt;b&gt;&amp;",
    "$\\sqrt{2}$",
    "<sub>low</sub><br>line",
]


def hostile(folder: Path) -> Path:
    """A trace with markup of every kind as names of kernels, ops, stages, threads, the device,
    the model and the file, and in its metadata.
    """
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": what, "pid": 7, "tid": 7, "args": {"name": name}}
        for what, name in (("process_name", EVIL), ("thread_name", NAMES[3]))
    ]

    def add(cat: str, name: str, ts: int, dur: int, **args: Any) -> None:
        own = {"pid": 0, "tid": 3} if cat == "kernel" else {"pid": 7, "tid": 7}
        events.append({"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, **own,
                       "args": args})  # fmt: skip

    for at, stage in ((0, NAMES[1]), (1000, NAMES[2])):
        add("user_annotation", stage, at, 900)
        for place, name in enumerate(NAMES):
            start, number = at + 10 + 80 * place, at + place
            add("cpu_op", name, start, 60)
            add("cuda_runtime", "cudaLaunchKernel", start + 1, 5, correlation=number)
            add("kernel", name, start + 10, 30 + place, correlation=number, stream=3, device=0)
    run = {
        "model": NAMES[1], "title": NAMES[1], "size": NAMES[5], "dtype": NAMES[2],
        "device": {"name": EVIL}, "versions": {NAMES[2]: EVIL}, "text": [[EVIL]],
        "command": NAMES[3], "attention": NAMES[4], "checkpoint": EVIL,
    }  # fmt: skip
    whole = {
        "tracekit": run, "deviceProperties": [{"id": 0, "name": EVIL}], "schemaVersion": EVIL,
        "distributedInfo": {"rank": EVIL, "world_size": EVIL}, "traceEvents": events,
    }  # fmt: skip
    path = folder / "<img src=x onerror=alert(9)>&'{{1+1}}.json"
    path.write_text(json.dumps(whole))
    return path


def test_markup_in_any_name_stays_text_everywhere(browser: Any, tmp_path: Path) -> None:
    one = engine.answers(hostile(tmp_path), stages=" stage$")
    at = Opened(browser, report.write([one], tmp_path / "p.html", command=f"analyze {EVIL}"))
    page = at.page
    page.evaluate("() => document.querySelectorAll('details').forEach(d => d.open = true)")
    shown = page.evaluate("document.querySelector('main').textContent")
    assert [name for name in NAMES if name not in shown] == []  # in tables
    at.drawn()
    parsed = page.evaluate("JSON.parse(document.getElementById('tk-kernels').textContent)")
    assert {row["name"] for row in parsed["rows"]} == set(NAMES)  # in the embedded JSON
    assert NAMES[1] in page.title()
    drawn = page.evaluate("[...document.querySelectorAll('.ytick text')].map(t => t.textContent)")
    assert {NAMES[1], NAMES[2]} <= set(drawn)  # in charts
    said, markup = page.evaluate(
        """async () => {
          const said = [];
          for (const chart of document.querySelectorAll('.js-plotly-plot')) {
            for (const [curve, trace] of chart.data.entries()) {
              const axes = ['x' + (trace.yaxis || 'y')];
              Plotly.Fx.hover(chart, [{curveNumber: curve, pointNumber: 0}], axes);
              await new Promise(done => setTimeout(done, 30));
              said.push(...[...chart.querySelectorAll('.hoverlayer text')].map(t => t.textContent));
            }
            Plotly.Fx.unhover(chart);
          }
          const made = [...document.querySelectorAll('img, iframe, object, main sub, svg a')];
          const styled = [...document.querySelectorAll('svg tspan')]
            .filter(t => t.textContent === 'bold' || t.textContent === 'low');
          const away = [...document.links].filter(a => !a.getAttribute('href').startsWith('#'));
          return [said, [...made, ...styled, ...away].map(e => e.outerHTML)];
        }"""
    )
    assert any(NAMES[1] in text for text in said)  # in hover labels
    assert markup == []
    assert at.faults == []  # nothing ran


KERNELS = "tk-kernels-kernels-table"


def test_a_table_sorts_by_value_and_says_so(gpu: Opened) -> None:
    at, table = gpu, KERNELS
    heads = at.page.locator(f"#{table} thead th")
    column = next(i for i in range(heads.count()) if "total" in heads.nth(i).inner_text())
    heads.nth(column).locator("button").click()
    assert heads.nth(column).get_attribute("aria-sort") == "descending"
    heads.nth(column).locator("button").click()
    assert heads.nth(column).get_attribute("aria-sort") == "ascending"
    values = at.page.evaluate(
        "([id, i]) => [...document.getElementById(id).tBodies[0].rows]"
        ".map(r => parseFloat(r.cells[i].textContent.replace(/[,<]/g, '')))",
        [table, column],
    )
    assert len(values) > 10
    assert values == sorted(values)


def test_a_table_downloads_whole_as_csv_with_units(gpu: Opened, tmp_path: Path) -> None:
    at, table = gpu, KERNELS
    with at.page.expect_download() as waiting:
        at.page.click(f"[data-csv={table}]")
    saved = tmp_path / "kernels.csv"
    waiting.value.save_as(saved)
    with open(saved, newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert waiting.value.suggested_filename == "kernels-kernels.csv"
    assert any(name.endswith(("(ms)", "(µs)")) for name in head)
    assert len(rows) > len(at.rows(table))
    assert all(len(row) == len(head) for row in rows)


def test_a_search_finds_rows_that_waited_in_the_file(gpu: Opened) -> None:
    at, table = gpu, KERNELS
    shown = len(at.rows(table))
    at.page.fill(f"#{table}-q", "flash attention")  # every word, in any column
    found = at.rows(table)
    assert found
    assert all("flash" in name.lower() for name in found)
    assert f"{len(found)} of" in at.page.inner_text(f"#{table}-n")
    at.page.fill(f"#{table}-q", "no such kernel at all")
    assert at.rows(table) == []
    at.page.fill(f"#{table}-q", "")
    assert len(at.rows(table)) == shown
    at.page.click(f"[data-all={table}]")
    assert len(at.rows(table)) > shown


def test_bars_switch_between_time_and_shares(drawn: Opened) -> None:
    at = drawn
    box = "document.getElementById('tk-overview-stage-bar-chart')"
    at.page.click("[data-for=tk-overview-stage-bar][data-unit=pct]")
    total = f"{box}.data.reduce((sum, trace) => sum + (trace.x[0] || 0), 0)"
    assert at.page.evaluate(total) == pytest.approx(100)
    pressed = at.page.locator("[data-for=tk-overview-stage-bar][data-unit=pct]")
    assert pressed.get_attribute("aria-pressed") == "true"


class Picture:
    """The picture of an open page, and how somebody gets about in it."""

    def __init__(self, at: Opened) -> None:
        self.at, self.page = at, at.page
        self.slices = at.page.locator("#tk-tree-picture canvas").nth(1)
        self.readout = at.page.locator("#tk-tree-picture-said")
        self.bar = at.page.locator(".filterbar")
        self.whole = self.view()

    def view(self) -> float:
        """How many ns are in sight."""
        low, high = self.page.locator("#tk-tree-picture").get_attribute("data-view").split(",")
        return int(high) - int(low)

    def settled(self, condition: str) -> None:
        self.page.wait_for_function(f"() => {condition}")

    def by_keys(self) -> tuple[str, str, float]:
        """Down to a kernel, its tables, its first slice: its address, what is said, how near."""
        every = len(self.at.rows(KERNELS))
        self.page.focus("#tree h2 button")
        for _ in range(12):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement.tagName") == "CANVAS":
                break
        for _ in range(12):
            self.page.keyboard.press("ArrowDown")
        assert self.readout.inner_text().startswith("kernel sm90_xmma_gemm")
        name = self.readout.locator("b").inner_text().removeprefix("kernel ").split(":")[0]
        self.page.keyboard.press("Enter")
        assert "Tables show kernel" in self.bar.inner_text()
        assert all(name in row for row in self.at.rows(KERNELS))
        assert 0 < len(self.at.rows(KERNELS)) < every
        assert "No row of this table holds" in self.page.locator(".none:visible").first.inner_text()
        self.page.keyboard.press("]")
        self.settled("document.getElementById('tk-tree-picture').dataset.view.split(',')"
                ".reduce((a, b) => b - a) < 1e6")  # fmt: skip
        assert "on stream 7" in self.readout.inner_text()
        assert "tracekit export tl_h100_qwen15_05b.json.gz" in self.readout.inner_text()
        self.settled("location.hash.includes('slice=')")
        address, said, near = (
            self.page.evaluate("location.hash"),
            self.readout.inner_text(),
            self.view(),
        )
        self.page.keyboard.press("Escape")
        assert len(self.at.rows(KERNELS)) == every
        return address, said, near

    def by_address(self, address: str, said: str, near: float) -> None:
        """The same slice, as near."""
        self.page.evaluate(
            "address => { location.hash = '#kernels'; location.hash = address; }", address
        )
        self.settled("!document.querySelector('.filterbar').hidden")
        assert self.readout.inner_text() == said
        assert self.view() == near
        self.page.locator(".filterbar button").click()

    def by_mouse(self) -> None:
        """The wheel zooms, a drag too, a click names and filters."""
        self.page.get_by_role("button", name="Show all of the time").click()
        self.settled(f"document.getElementById('tk-tree-picture').dataset.view.split(',')"
                f".reduce((a, b) => b - a) >= {self.whole}")  # fmt: skip
        self.slices.scroll_into_view_if_needed()
        box = self.slices.bounding_box()
        self.page.mouse.move(box["x"] + 500, box["y"] + box["height"] - 54)
        for _ in range(12):
            self.page.keyboard.down("Control")
            self.page.mouse.wheel(0, -120)
            self.page.keyboard.up("Control")
        self.page.wait_for_timeout(80)
        assert self.view() < self.whole / 400
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + 600, box["y"] + box["height"] - 54, steps=3)
        self.page.mouse.up()
        self.page.wait_for_timeout(80)
        assert self.view() < self.whole / 4000
        self.page.mouse.click(box["x"] + 300, box["y"] + box["height"] - 54)
        assert "Tables show" in self.bar.inner_text()
        assert "on stream 7" in self.readout.inner_text()
        self.page.emulate_media(color_scheme="dark")  # drawn anew, as near
        assert self.view() < self.whole / 4000

    def over_the_page(self) -> None:
        """A search, a fold, a finding."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("/")
        self.page.keyboard.type("flash_fwd_kernel")
        assert "found" in self.page.locator(".find [role=status]").inner_text()
        self.page.keyboard.press("ArrowDown")
        self.page.keyboard.press("Enter")
        assert self.page.evaluate("document.querySelectorAll('tr.here, canvas:focus').length") >= 1
        self.page.keyboard.press("/")
        self.page.keyboard.type(" no such thing")
        assert "Nothing on this page holds" in self.page.locator("#tk-found").inner_text()
        self.page.keyboard.press("Escape")
        self.page.click("#kernels h2 button")
        assert self.page.locator(f"#{KERNELS}").is_hidden()
        self.page.click("nav a[href='#kernels']")
        assert self.page.locator(f"#{KERNELS}").is_visible()  # a link unfolds what it leads to
        self.settled("document.querySelector('nav a[aria-current]')?.hash === '#kernels'")
        markdown = self.page.evaluate(
            """async () => {
              let said = '';
              navigator.clipboard.writeText = async text => { said = text; };
              document.querySelector('.copymd').click();
              await new Promise(done => setTimeout(done, 50));
              return said;
            }"""
        )
        assert markdown.startswith("**")
        assert "tl_h100_qwen15_05b.json.gz" in markdown


def test_from_a_stage_to_a_single_kernel_by_keys_by_mouse_and_by_address(gpu: Opened) -> None:
    picture = Picture(gpu)
    picture.by_address(*picture.by_keys())
    picture.by_mouse()
    picture.over_the_page()
    assert gpu.faults == []


class Fingers:
    """Fingers on the screen of an open page, at places in CSS pixels."""

    def __init__(self, at: Opened) -> None:
        self.page, self.to = at.page, at.context.new_cdp_session(at.page)

    def _send(self, what: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self.to.send("Input.dispatchTouchEvent", {"type": what, "touchPoints": points})

    def move(self, *ways: tuple[tuple[float, float], tuple[float, float]]) -> None:
        """Each finger from one place to another, in a few steps."""
        self._send("touchStart", *(first for first, _ in ways))
        for part in (0.25, 0.5, 0.75, 1.0):
            places = [(x + part * (to - x), y + part * (low - y)) for (x, y), (to, low) in ways]
            self._send("touchMove", *places)
            self.page.wait_for_timeout(20)
        self._send("touchEnd")
        self.page.wait_for_timeout(80)

    def tap(self, x: float, y: float) -> None:
        self._send("touchStart", (x, y))
        self._send("touchEnd")
        self.page.wait_for_timeout(80)


def test_fingers_zoom_move_and_choose_in_the_picture_and_still_scroll_the_page(
    browser: Any, tmp_path: Path
) -> None:
    at = Opened(browser, written(tmp_path, "tl_h100_qwen15_05b"), width=390, touch=True)
    picture, fingers = Picture(at), Fingers(at)
    picture.slices.evaluate("canvas => canvas.scrollIntoView({block: 'center'})")
    box = picture.slices.bounding_box()
    left, y = box["x"], box["y"] + box["height"] - 54  # on the stream
    fingers.move(((left + 170, y), (left + 60, y)), ((left + 190, y), (left + 300, y)))
    near = picture.view()
    assert near < picture.whole / 5  # two fingers apart: nearer
    before = at.page.locator("#tk-tree-picture").get_attribute("data-view")
    fingers.move(((left + 250, y), (left + 150, y)))
    after = at.page.locator("#tk-tree-picture").get_attribute("data-view")
    assert int(after.split(",")[0]) > int(before.split(",")[0])  # one finger sideways: later
    assert picture.view() == pytest.approx(near, abs=2)
    fingers.tap(left + 200, y)
    assert "on stream 7" in picture.readout.inner_text()
    assert "Tables show" in picture.bar.inner_text()
    assert at.page.locator(".tip").is_hidden()  # no pointer hovers
    scrolled = at.page.evaluate("scrollY")
    fingers.move(((left + 200, y), (left + 200, y - 120)))
    assert at.page.evaluate("scrollY") > scrolled
    assert picture.view() == pytest.approx(near, abs=2)
    assert at.faults == []


def test_a_large_page_is_at_hand_within_a_second_and_a_half(browser: Any, gpu: Opened) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.add_init_script("performance.now = () => 0")  # no chart takes long
    to = context.new_cdp_session(page)
    to.send("Performance.enable", {"timeDomain": "threadTicks"})  # CPU time: others do not count
    page.goto(gpu.page.url.partition("#")[0])
    still = "window.Plotly && !document.querySelector('main').hasAttribute('aria-busy')"
    page.wait_for_function(f"() => {still}", polling=100, timeout=60_000)
    taken = {one["name"]: one["value"] for one in to.send("Performance.getMetrics")["metrics"]}
    assert 0 < taken["TaskDuration"] < 1.5
    assert page.locator("figure.picture canvas").count() == 2
    # the rest is drawn while nothing else is to do, as far as the page stays light
    nodes = "document.getElementsByTagName('*').length"
    later = (
        "[...document.querySelectorAll('.chart[data-later]')].filter(c => c.offsetParent).length"
    )
    page.wait_for_function(f"() => {nodes} > 5800 || !{later}", polling=100, timeout=60_000)
    assert page.evaluate(nodes) < 6_500
    context.close()


def test_charts_follow_a_change_of_the_colour_scheme(drawn: Opened) -> None:
    at = drawn
    at.page.emulate_media(color_scheme="dark")
    at.page.wait_for_function(
        "() => [...document.querySelectorAll('.js-plotly-plot')]"
        ".every(c => c._fullLayout.paper_bgcolor === '#12161c')"
    )
    assert at.faults == []


def test_it_prints_in_light_colours_without_its_controls(drawn: Opened) -> None:
    at = drawn
    at.page.emulate_media(color_scheme="dark")
    at.page.emulate_media(media="print", color_scheme="dark")
    back = at.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back == "rgb(255, 255, 255)"
    assert at.page.locator("nav").is_hidden()
    assert at.page.pdf(format="A4")[:4] == b"%PDF"
    assert at.page.locator("th button").first.evaluate("b => getComputedStyle(b).display") == (
        "contents"  # Chromium leaves buttons out of heads that it repeats on the next page
    )


def test_everything_has_a_name_and_a_place_in_the_order_of_the_keyboard(
    browser: Any, tmp_path: Path
) -> None:
    at = Opened(browser, written(tmp_path, "tl_h100_qwen15_05b"))
    page = at.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the numbers"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # seen once it has the focus
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "overview"
    assert page.get_by_role("table", name="Kernels, the longest first").count() == 1
    assert page.get_by_role("figure", name="GPU time from stage to kernel").count() == 1
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, .scroll, .chart, table')].filter(e =>
          !e.closest('.js-plotly-plot .plot-container') &&
          !(e.getAttribute('aria-label') || e.textContent.trim() && e.tagName === 'BUTTON' ||
            e.labels?.length || document.getElementById(e.getAttribute('aria-labelledby')))
        ).map(e => e.outerHTML.slice(0, 90))"""
    )
    assert nameless == []
    page.focus("#tk-kernels-kernels-table-q")
    page.keyboard.type("flash")
    said = page.locator("#tk-kernels-kernels-table-n")
    assert said.get_attribute("role") == "status"  # read out as it changes
    assert " of " in said.inner_text()
    outlined = page.evaluate(
        "getComputedStyle(document.activeElement).outlineStyle + "
        "getComputedStyle(document.activeElement).outlineWidth"
    )
    assert outlined == "solid3px"


def test_in_forced_colours_the_key_of_a_chart_keeps_its_colours(drawn: Opened) -> None:
    at = drawn
    at.page.emulate_media(forced_colors="active")
    key = at.page.locator("ul.legend .sw").first
    assert key.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(76, 74, 156)"


def test_print_is_short_and_hatched_bars_are_tints_in_it(browser: Any, tmp_path: Path) -> None:
    (sample,) = Path(__file__).parents[2].glob("traces/sample-onellm*.json.gz")
    at = Opened(browser, written(tmp_path, sample))
    chart = "document.getElementById('tk-overview-stage-bar-chart')"
    patterns = f"{chart}.querySelectorAll('defs pattern').length"
    assert at.page.evaluate(patterns) > 0
    at.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    at.page.wait_for_function(f"() => {patterns} === 0")
    tints = at.page.evaluate(f"{chart}.data.map(t => t.marker.opacity ?? 1)")
    assert tints == [1, 0.6, 1]  # ops, copies, outside ops
    at.page.evaluate("dispatchEvent(new Event('afterprint'))")
    at.page.wait_for_function(f"() => {patterns} > 0")
    paper = at.page.pdf(format="A4")
    assert len(paper) < 3_000_000
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) <= 4
    at.page.emulate_media(media="print")
    left = at.page.locator("#source .inprint").inner_text()
    assert left.startswith("Not printed, but in the file: ")
    assert at.page.locator("#roles-h").text_content() in left
    assert at.page.locator("#roles").is_hidden()
    assert at.faults == []


def test_without_scripts_the_numbers_are_there(browser: Any, tmp_path: Path) -> None:
    path = written(tmp_path, kineto(tmp_path / "a.json.gz"))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("table").count() >= 3
    assert "the table holds the same numbers" in page.inner_text("main")
    assert page.locator("[data-copy]").first.is_hidden()  # what cannot work is not offered


def test_several_traces_each_draw_their_picture(browser: Any, tmp_path: Path) -> None:
    names = ["one", "two", "three", "four", "five"]
    paths = [
        kineto(tmp_path / f"{n}.json.gz", tracekit={"model": n, "title": f"{n}: {'long ' * 20}"})
        for n in names
    ]
    at = Opened(browser, written(tmp_path, *paths), width=390)
    titles = at.page.locator("#tree figcaption h3").all_inner_texts()
    assert titles == [f"{n}: GPU time from stage to kernel, and every slice" for n in names[:4]]
    assert at.page.locator("#tree canvas").count() == 8
    assert "Drawn are the first 4 of 5 traces; to see five" in at.page.inner_text("#tree")
    fits(at, 1280)
    at.page.emulate_media(media="print")
    visible = at.page.locator("main > section:visible")
    assert [s.get_attribute("id") for s in visible.all()] == ["overview", "tree", "source"]
    assert at.page.locator("#tree canvas:visible").count() == 2
    assert at.faults == []


@pytest.mark.parametrize(
    ("one", "two"),
    [("tl_h100_nsfw", "tl_mi300_nsfw"), ("tl_sglang_prefilldecode", "tl_sglang_decode"),
     ("hta_trace_compare_base", "hta_trace_compare_test")],
)  # fmt: skip
def test_a_comparison_draws_its_waterfalls_and_fits_the_screen(
    one: str, two: str, browser: Any, tmp_path: Path
) -> None:
    both = [runs.of(real.answers(n)) for n in (one, two)]
    result = compare.compare(*both)
    at = Opened(browser, difference.write(result, tmp_path / "c.html"), width=390)
    fits(at, 1280)
    assert at.faults == []
    head = result.splits[0]
    ends = at.page.evaluate(
        "(d => [d.x[0], d.x.at(-1), d.base.at(-2)])"
        "(document.getElementById('tk-overview-headline-chart').data[0])"
    )
    assert ends[0] / ends[1] == pytest.approx(head.before_ns / head.after_ns, rel=1e-4)
    first = at.page.inner_text("#overview")
    assert ("Not the same work" in first) == (not result.same_work)
    if not result.same_work:
        totals = at.page.locator(".tile").filter(has_text="Difference").inner_text()
        assert "less time" not in totals
        assert "more time" not in totals
