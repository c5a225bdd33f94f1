"""One sample as charts and a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tracekit.datasets import checks, quality
from tracekit.datasets.entry import Recording, Sample
from tracekit.datasets.quality import Quality
from tracekit.results.figures import Chart, escape
from tracekit.results.first_screen import KeyNumber, Verdict
from tracekit.results.result import Column, Grid
from tracekit.results.units import plural, share

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST = 3000  # points of a line
CELLS = 160  # of a picture's longer side
# three hues that the eye tells apart, and a dash for those that cannot
AXES = (("x", "var(--gemm)", "solid"), ("y", "var(--norm)", "dash"), ("z", "var(--copy)", "dot"))


def charts(recording: Recording) -> list[Chart]:
    """What it holds, drawn; [] for text."""
    if recording.values is not None:
        return _imu(recording)
    if "t" in recording.arrays:
        return _events(recording)
    if "pixels" in recording.arrays:
        return [_picture(recording.arrays["pixels"])]
    if "waveform" in recording.arrays:
        return [_sound(recording)]
    return []


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """What a reader should see first of one sample."""

    headline: str
    verdict: Verdict
    key_numbers: tuple[KeyNumber, ...]
    charts: tuple[Chart, ...]


def first_screen(sample: Sample, recording: Recording) -> FirstScreen:
    """How much of what it is, whether it may be used as it is, and how fast what moves."""
    probe, found = checks.probe(sample), quality.quality(recording)
    level, word, text = quality.verdict(probe, found)
    return FirstScreen(
        _headline(sample, recording, probe, found), Verdict(level, word, text),
        tuple(_key_numbers(probe, recording, found)), tuple(_spectra(found, recording.kind)),
    )  # fmt: skip


_NOUNS = {"imu": "sample", "events": "event", "audio": "sample"}


def _headline(sample: Sample, recording: Recording, probe: checks.Probe, found: Quality) -> str:
    """`walking: 12.8 s of motion, 640 samples at 50 Hz; the largest swing … is … at 1.95 Hz.`"""
    what = {"imu": "motion", "events": "camera events", "audio": "sound"}.get(recording.kind)
    named = f"{sample.label}: " if sample.label else ""
    if what is None:
        return f"{named}{'a picture' if recording.kind == 'image' else recording.kind}."
    noun = _NOUNS[recording.kind]
    count = plural(probe.samples, noun) if probe.samples is not None else ""
    if recording.kind == "audio":
        count = plural(len(recording.arrays["waveform"]), noun)
    long = f"{_three(found.duration_s)} s of " if found.duration_s else ""
    rate = f" at {found.rate_hz:.3g} Hz" if found.rate_hz else ""
    peak = found.spectrum.peak_hz if found.spectrum is not None else None
    most = ""
    if found.spectrum is not None and peak is not None:
        size = f"{found.spectrum.peak:.2g} m/s² " if recording.kind == "imu" else ""
        slow = f"above {quality.SLOWEST_HZ:g} Hz " if recording.kind == "imu" else ""
        most = f"; the largest swing {slow}is {size}at {_three(peak)} Hz"
    return f"{named}{long}{what}{f', {count}' if count else ''}{rate}{most}."


def _key_numbers(probe: checks.Probe, recording: Recording, found: Quality) -> list[KeyNumber]:
    out = []
    if found.rate_hz:
        stated = f"{recording.rate_hz:.4g} Hz stated" if recording.rate_hz else "by its clock"
        out.append(KeyNumber("Rate", f"{found.rate_hz:.4g} Hz", stated,
                             "1000 over the median step of the clock in ms."))  # fmt: skip
    if found.gaps is not None:
        g = found.gaps
        sub = f"longest {g.longest_s:.3g} s, {share(g.lost)} lost" if g.count else "in the clock"
        level, said = "warn" if g.count else "", "Steps of more than five median steps."
        out.append(KeyNumber("Gaps", f"{g.count:,}", sub, said, level))
    if found.spectrum is not None:
        c = found.clipping
        out.append(KeyNumber(
            "Clipped", share(c.share) if c is not None else "none",
            f"of {c.axis}" if c is not None else "at no extreme twice",
            "Samples of an axis at one and the same extreme, at least twice in a row.",
            "warn" if c is not None else "",
        ))  # fmt: skip
        if (peak := found.spectrum.peak_hz) is not None:
            out.append(KeyNumber("Largest swing", f"{_three(peak)} Hz", "its frequency",
                                 f"Above {quality.SLOWEST_HZ:g} Hz."))  # fmt: skip
    if probe.norm is not None:
        out.append(
            KeyNumber("|acceleration|", f"{_three(probe.norm)} m/s²", "median; gravity: 9.81")
        )
    if probe.missing:
        out.append(KeyNumber("Missing values", f"{probe.missing:,}", "not finite", "", "warn"))
    return out


def _three(value: float) -> str:
    """Three significant digits: 9.81, 11.0, 199."""
    return f"{value:#.3g}".rstrip(".")


def _spectra(found: Quality, kind: str) -> list[Chart]:
    """Amplitude by frequency: where what moves would show, and hum or aliasing too."""
    one = found.spectrum
    if one is None:
        return []
    stride = max(1, -(-len(one.hz) // 600))
    sides = [("acceleration" if kind == "imu" else "amplitude", one.acceleration, "var(--gemm)",
              "solid", "m/s²" if kind == "imu" else "")]  # fmt: skip
    if one.angular is not None:
        sides.append(("angular velocity", one.angular, "var(--norm)", "dash", "rad/s"))
    lines = [
        _line(one.hz[1::stride], values[1::stride], name, colour, dash, unit)
        for name, values, colour, dash, unit in sides
    ]
    title = "Spectrum: amplitude by frequency"
    unit = "m/s², rad/s" if kind == "imu" else "amplitude"
    return [_chart("spectrum", title, f"{title}, mean over pieces of the recording", lines, "Hz",
                   unit)]  # fmt: skip


def summary(sample: Sample, recording: Recording) -> Grid:
    """What is known of it, in words and numbers."""
    probe = checks.probe(sample)
    rows: list[tuple[str, str]] = [
        ("sample", sample.id),
        ("data set", sample.dataset + (" (synthetic)" if sample.synthetic else "")),
    ]
    if not sample.synthetic:  # what was made for this look is gone after it
        # its name and folder: a page may be shown to others
        rows.append(("file", "/".join(sample.path.parts[-2:])))
    known: list[tuple[str, Any]] = [
        ("label", sample.label),
        ("length", f"{probe.samples:,}" if probe.samples is not None else None),
        ("rate", f"{recording.rate_hz:g} Hz" if recording.rate_hz else None),
        ("rate by its clock", f"{probe.measured_hz:.2f} Hz" if probe.measured_hz else None),
        ("window", _window(recording)),
        ("median |acceleration|", f"{probe.norm:.2f} m/s²" if probe.norm is not None else None),
        ("prompt", _short(sample.prompt or recording.text)),
        ("answer", _short(sample.answer)),
        ("licence", sample.licence or None),
    ]
    rows += [(name, str(value)) for name, value in known if value is not None]
    rows += [(name, _short(str(value)) or "") for name, value in sample.facts.items()]
    rows += [("repair", repair) for repair in recording.repairs]
    return Grid("summary", "The sample", (Column("what"), Column("value")), rows)


def _window(recording: Recording) -> str | None:
    if recording.start_s is None and recording.duration_s is None:
        return None
    start, length = recording.start_s or 0.0, recording.duration_s
    return f"from {start:g} s" + (f", {length:g} s long" if length is not None else "")


def _short(text: str | None) -> str | None:
    return text if text is None or len(text) <= 400 else f"{text[:400]} … ({len(text):,} letters)"


def _imu(recording: Recording) -> list[Chart]:
    import numpy as np

    assert recording.values is not None
    values, stride = recording.values, max(1, -(-len(recording.values) // MOST))
    if recording.timestamps_ms is not None:
        seconds = (recording.timestamps_ms - recording.timestamps_ms[0]) / 1e3
    else:
        seconds = np.arange(len(values)) / (recording.rate_hz or 1.0)
    thinned = f"; every {stride}th sample is drawn" if stride > 1 else ""
    x, drawn = _broken(seconds[::stride], values[::stride])
    axis = "s" if recording.rate_hz or recording.timestamps_ms is not None else "sample"
    made = []
    for key, title, first, unit in (
        ("acceleration", "Acceleration, with gravity", 0, "m/s²"),
        ("gyroscope", "Angular velocity", 3, "rad/s"),
    ):
        lines = [
            _line(x, drawn[:, first + place], name, colour, dash, unit)
            for place, (name, colour, dash) in enumerate(AXES)
        ]
        made.append(
            _chart(key, title, f"{title} of x, y and z over {axis}{thinned}", lines, axis, unit)
        )
    if recording.timestamps_ms is not None and len(values) > 1:
        steps = np.diff(recording.timestamps_ms)
        # the longest step of each block, so that no gap is thinned away
        blocks = np.arange(0, len(steps), stride)
        longest = np.maximum.reduceat(steps, blocks)
        line = _line(seconds[blocks], longest, "step", "var(--gemm)", "solid", "ms")
        line |= {"mode": "markers", "marker": {"color": "var(--gemm)", "size": 4}}
        text = "Time from each sample to the next, over the recording"
        text += f"; the longest of every {stride}" if stride > 1 else ""
        made.append(_chart("clock", "Steps of the clock", text, [line], axis, "ms"))
    return made


def _broken(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The same with a row of NaN in each gap, where a line would tell of what was not measured."""
    import numpy as np

    steps = np.diff(x)
    if not len(steps):
        return x, y
    gaps = np.flatnonzero(steps > checks.GAP * np.median(steps)) + 1
    return np.insert(x, gaps, x[gaps - 1]), np.insert(y, gaps, np.nan, axis=0)


def _line(
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    name: str,
    colour: str,
    dash: str,
    unit: str,
) -> dict[str, object]:
    import math

    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [round(float(v), 4) for v in x],
        # JSON has no NaN: a hole in the line is null
        "y": [round(float(v), 5) if math.isfinite(v) else None for v in y],
        "line": {"color": colour, "width": 1.5, "dash": dash},
        "hovertemplate": f"{name}: %{{y}} {escape(unit)} at %{{x}}<extra></extra>",
    }


def _chart(
    key: str, title: str, summary: str, data: Sequence[dict[str, Any]], axis: str, unit: str
) -> Chart:
    keys = [
        [line["name"], line["line"]["color"], f"symbol-line-{line['line']['dash']}"]
        for line in data
    ]
    return Chart(
        key,
        title,
        summary,
        list(data),
        {
            "height": 260,
            "dragmode": "zoom",
            "xaxis": {"title": {"text": escape(axis)}, "showgrid": False},
            "yaxis": {"title": {"text": escape(unit)}, "fixedrange": True},
            "meta": {"kind": "lines", "legend": keys},
        },
    )


def _events(recording: Recording) -> list[Chart]:
    import numpy as np

    x, y, p, t = (recording.arrays[name] for name in ("x", "y", "p", "t"))
    width, height = int(x.max()) + 1, int(y.max()) + 1
    step = max(1, -(-max(width, height) // CELLS))
    cells = (height // step + 1, width // step + 1)
    sums = np.zeros(cells, np.int64)
    np.add.at(sums, (y // step, x // step), np.where(p > 0, 1, -1))
    most = int(np.abs(sums).max()) or 1
    field = {
        "type": "heatmap",
        "z": sums.tolist(),
        "zmin": -most,
        "zmax": most,
        "colorscale": [[0, "#3968c3"], [0.5, "#ffffff"], [1, "#a4262c"]],
        "hovertemplate": "%{z} at column %{x}, row %{y}<extra></extra>",
        "x0": 0,
        "dx": step,
        "y0": 0,
        "dy": step,
    }
    picture = Chart(
        "field",
        "Brighter less darker events",
        f"{len(t):,} events over {width} × {height} pixels, in cells of {step} × {step}",
        [field],
        {
            "height": 420,
            "xaxis": {"constrain": "domain", "showgrid": False},
            "yaxis": {"autorange": "reversed", "scaleanchor": "x", "showgrid": False},
        },
    )
    counts, edges = np.histogram(t - t.min(), bins=100)
    line = _line(edges[:-1] / 1e3, counts.astype(float), "events", "var(--gemm)", "solid", "")
    text = "Events in each hundredth of the time"
    return [picture, _chart("rate", "Events over time", text, [line], "ms", "events")]


def _sound(recording: Recording) -> Chart:
    import numpy as np

    wave = recording.arrays["waveform"].astype(np.float64)
    stride = max(1, -(-len(wave) // MOST))
    blocks = wave[: len(wave) // stride * stride].reshape(-1, stride)
    seconds = np.arange(len(blocks)) * stride / (recording.rate_hz or 1.0)
    lines = [
        _line(seconds, blocks.max(axis=1), "largest", "var(--gemm)", "solid", ""),
        _line(seconds, blocks.min(axis=1), "least", "var(--norm)", "solid", ""),
    ]
    text = f"Largest and least of each {stride} samples of the waveform over s"
    return _chart("waveform", "The sound", text, lines, "s", "")


def _picture(pixels: npt.NDArray[np.uint8]) -> Chart:
    step = max(1, -(-max(pixels.shape[:2]) // CELLS))
    return Chart(
        "picture",
        "The picture",
        f"{pixels.shape[1]} × {pixels.shape[0]} pixels, every {step}th drawn",
        [{"type": "image", "z": pixels[::step, ::step].tolist()}],
        {"height": 420},
    )
