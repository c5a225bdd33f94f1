"""What the project says of itself, to an index, a reader and a machine."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import conftest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def hook() -> ModuleType:
    pytest.importorskip("hatchling")
    spec = importlib.util.spec_from_file_location("readme_hook", ROOT / "scripts/readme_hook.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def built(root: Path, **stated: object) -> dict[str, Any]:
    """The metadata that a build of a folder gets."""
    (root / "README.md").write_text((ROOT / "README.md").read_text())
    told: dict[str, Any] = {"name": "tracekit", **stated}
    hook().Readme(str(root), {}).update(told)
    return told


def test_a_build_of_nobody_knows_which_repository_has_no_addresses_and_no_links(
    tmp_path: Path,
) -> None:
    assert "urls" in PROJECT["project"]["dynamic"]
    told = built(tmp_path)
    assert told["urls"] == {}
    assert re.findall(r"\]\(([^)]+)\)", told["readme"]["text"]) == []
    assert "| profile a model, yours too | " in told["readme"]["text"]


def test_a_build_in_a_clone_says_where_it_came_from_and_so_does_a_wheel_of_its_sdist(
    tmp_path: Path,
) -> None:
    clone, sdist = tmp_path / "clone", tmp_path / "clone" / "sdist"
    git = ("git", "-C", str(clone))
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    assert built(clone)["urls"] == {}
    remote = ("remote", "add", "origin", "https://me:secret@github.com/lab/tracekit.git")
    subprocess.run([*git, *remote], check=True)
    told = built(clone)
    base = "https://github.com/lab/tracekit"
    assert told["urls"]["Repository"] == base
    assert set(told["urls"]) == {"Repository", "Documentation", "Issues", "Changelog"}
    links = re.findall(r"\]\(([^)]+)\)", told["readme"]["text"])
    assert len(links) > 8
    assert all(link.startswith(f"{base}/blob/main/") for link in links)
    sdist.mkdir()
    assert built(sdist)["urls"] == {}  # a folder in somebody's clone is not that project
    (sdist / "PKG-INFO").write_text(f"Name: x\nProject-URL: Repository, {base}2\n\ntext\n")
    assert built(sdist)["urls"]["Repository"] == f"{base}2"
    stated = built(clone, urls={"Repository": "https://code.example/t"})
    assert stated["urls"] == {"Repository": "https://code.example/t"}
    assert "](https://code.example/t/blob/main/docs/" in stated["readme"]["text"]


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        ("git@github.com:lab/tracekit.git", "https://github.com/lab/tracekit"),
        ("ssh://git@codeberg.org:22/lab/tracekit", "https://codeberg.org/lab/tracekit"),
        ("https://gitlab.com/lab/group/tracekit/", "https://gitlab.com/lab/group/tracekit"),
        ("https://token@GitHub.com/lab/t.k.git\n", "https://github.com/lab/t.k"),
        ("https://git.lab.intern/lab/tracekit.git", None),
        ("git@github.com.evil.example:lab/tracekit.git", None),
        ("/srv/git/tracekit.git", None),
        ("../github.com/lab/tracekit", None),
        ("https://github.com/", None),
    ],
)
def test_only_remotes_on_public_hosts_are_addresses(remote: str, page: str | None) -> None:
    assert hook().address(remote) == page


def test_with_a_repository_the_links_of_the_readme_lead_to_its_files() -> None:
    base = "https://code.example/tracekit"
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", hook().absolute(text, base))
    assert len(links) > 8
    for link in links:
        assert link.startswith(f"{base}/blob/main/"), link
        path = link.removeprefix(f"{base}/blob/main/").partition("#")[0]
        assert (ROOT / path).is_file(), link
    assert (
        hook().absolute("[a](b.md), [c](https://d), [e](#f)", None) == "a, [c](https://d), [e](#f)"
    )


def test_every_link_of_the_readme_and_the_docs_leads_to_a_file_and_a_heading() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", text):
            path, _, heading = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.name}: {link}"
            if heading:
                found = {
                    re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-")
                    for head in re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
                }
                assert heading in found, f"{page.name}: {link}"


def test_the_citation_is_of_this_version_and_place() -> None:
    project = PROJECT["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert "cff-version: 1.2.0" in citation
    assert f"version: {project['version']}\n" in citation
    place = project.get("urls", {}).get("Repository")
    said = re.findall(r'^repository-code: "(.*)"$', citation, re.MULTILINE)
    assert said == ([place] if place else [])


def test_the_sdist_holds_what_a_wheel_is_built_from_and_no_samples() -> None:
    kept = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert {"tracekit", "analyses", "scripts/build_hook.py", "scripts/readme_hook.py"} <= set(kept)
    assert not {"reports", "traces", "tests"} & set(kept)
    assert all((ROOT / name).exists() for name in kept)


def test_tests_of_one_trace_share_a_worker_and_else_those_of_one_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conftest, "TRACES", frozenset({"one_trace"}))
    assert conftest.together("tests/unit/test_a.py::test_b[one_trace]") == "one_trace"
    assert conftest.together("tests/unit/test_c.py::test_d[2-one_trace-x]") == "one_trace"
    assert conftest.together("tests/unit/test_c.py::test_d[other_trace]") == "tests/unit/test_c.py"
    assert conftest.together("tests/unit/test_c.py::test_e") == "tests/unit/test_c.py"
    browser = "tests/integration/test_report_browser.py"
    assert conftest.together(f"{browser}::test_f[one_trace]") == browser
