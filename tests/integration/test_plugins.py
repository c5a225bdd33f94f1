"""Packages that bring analyses, models and data sets by entry points: those of docs/plugins.md."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import fresh

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "plugins.md"
TRACE = ROOT / "traces" / "sample-onellm-tiny-cpu.pt.trace.json.gz"
BLOCK = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shown() -> dict[str, str]:
    """The files of the package that the docs show."""
    return dict(BLOCK.findall(DOCS.read_text(encoding="utf-8")))


def install(
    site: Path, name: str, points: dict[str, dict[str, str]], files: dict[str, str] | None = None
) -> None:
    """What pip leaves of a package: its modules, and the metadata that names its entry points."""
    for path, text in (files or {}).items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    about = site / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [
        line
        for group, entries in points.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of installed packages with that of the docs."""
    files = shown()
    points = tomllib.loads(files.pop("pyproject.toml"))["project"]["entry-points"]
    install(tmp_path / "site", "tracekit-lab", points, {**files, "tracekit_lab/__init__.py": ""})
    return tmp_path / "site"


def tracekit(site: Path, *args: object) -> subprocess.CompletedProcess[str]:
    return fresh.tracekit(*args, cwd=site.parent, path=[site])


def answered(site: Path, *args: object) -> dict[str, object]:
    ran = tracekit(site, "analyze", TRACE, "--json", *args)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)["traces"][0]["answers"]
    return found


def test_an_analysis_of_a_package_is_one_like_any_other(site: Path) -> None:
    only = answered(site, "--only", "copies")
    assert list(only) == ["copies"]
    copies = only["copies"]
    assert isinstance(copies, dict)
    assert copies["calls"] > 0 < copies["ns"]
    every = answered(site)
    assert {"copies", "stages"} <= set(every)
    page = site.parent / "page.html"
    assert tracekit(site, "analyze", TRACE, "-o", page).returncode == 0
    assert "How long did aten::copy_ run on the host?" in page.read_text(encoding="utf-8")
    compared = tracekit(site, "compare", TRACE, TRACE, "--json")
    assert compared.returncode == 0, compared.stderr


def test_a_model_of_a_package_runs_on_a_data_set_of_a_package(site: Path) -> None:
    data = site.parent / "recordings"
    data.mkdir()
    (data / "one.lab").write_text("0 0 9.8 0 0 0\n" * 100)
    listed = tracekit(site, "datasets", "--json")
    assert json.loads(listed.stdout)["lab"]["title"] == "Recordings of the lab"
    trace = site.parent / "linear.json.gz"
    ran = tracekit(site, "capture", "linear", "--data", data, "--samples", 1, "-o", trace)
    assert ran.returncode == 0, ran.stderr
    found = tracekit(site, "analyze", trace, "--only", "stages", "--json")
    run = json.loads(found.stdout)["traces"][0]["run"]
    assert "linear" in json.dumps(run)
    info = json.loads(tracekit(site, "models", "info", "linear", "--json").stdout)
    assert info[0]["parameters_total"] == 224


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import no_such_module", r"ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise RuntimeError('boom\\nagain')", r"RuntimeError: boom again"),
        ("NOTHING = 1", r"AttributeError: module 'broken' has no attribute 'ANALYSIS'"),
    ],
)
def test_a_broken_package_is_named_in_one_line_and_breaks_nothing(
    site: Path, module: str, said: str
) -> None:
    install(site, "their-thing", {"tracekit.analyses": {"bad": "broken"}}, {"broken.py": module})
    whole = tracekit(site, "analyze", TRACE, "--json")
    assert whole.returncode == 0, whole.stderr
    line = rf"analysis bad of package their-thing 1\.0: cannot be loaded \({said}\); .*"
    assert re.fullmatch(rf"left out: {line}\n", whole.stderr), whole.stderr
    answers = json.loads(whole.stdout)["traces"][0]["answers"]
    assert "copies" in answers
    assert "bad" not in answers
    asked = tracekit(site, "analyze", TRACE, "--json", "--only", "bad")
    assert asked.returncode == 1
    assert re.fullmatch(rf"error: {line}\n", asked.stderr), asked.stderr
    assert answered(site, "--only", "copies")


def test_broken_models_and_data_sets_leave_the_others_be(site: Path) -> None:
    points = {"tracekit.models": {"bad": "broken"}, "tracekit.datasets": {"worse": "broken:X"}}
    install(site, "their-thing", points, {"broken.py": "X = 1\nMODEL = 'none'\n"})
    listed = tracekit(site, "datasets", "--json")
    assert {"lab", "synthetic"} <= set(json.loads(listed.stdout))
    assert listed.stderr == (
        "left out: data set worse of package their-thing 1.0: not Dataset(…) but int; "
        "its entry point must name the DATASET of a module\n"
    )
    asked = tracekit(site, "models", "info", "bad")
    assert asked.returncode == 1
    assert asked.stderr.startswith("error: model bad of package their-thing 1.0: not Model(…)")


def test_a_built_in_name_stays_what_it_is(site: Path) -> None:
    install(site, "their-thing", {"tracekit.analyses": {"stages": "tracekit_lab.copies"}})
    whole = tracekit(site, "analyze", TRACE, "--json")
    assert "rows" in json.loads(whole.stdout)["traces"][0]["answers"]["stages"]
    assert whole.stderr == (
        "left out: analysis stages of package their-thing 1.0: a built-in analysis has this name\n"
    )


def test_of_one_name_in_two_packages_the_first_is_used(site: Path) -> None:
    install(site, "another-thing", {"tracekit.analyses": {"copies": "absent"}})
    asked = tracekit(site, "analyze", TRACE, "--only", "copies")
    assert "analysis copies of package another-thing 1.0: cannot be loaded" in asked.stderr
