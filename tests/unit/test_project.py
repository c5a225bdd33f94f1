"""What the project says of itself, to an index, a reader and a machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_readme_on_pypi_links_to_the_repository() -> None:
    pytest.importorskip("hatchling")
    command = [sys.executable, "-m", "hatchling", "metadata"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(told.stdout)
    base = PROJECT["project"]["urls"]["Repository"]
    assert found["urls"]["Repository"] == base
    readme = found["readme"]["text"]
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(links) > 8
    for link in links:
        assert link.startswith(f"{base}/blob/main/"), link
        path = link.removeprefix(f"{base}/blob/main/").partition("#")[0]
        assert (ROOT / path).is_file(), link


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


def test_citation_and_security_name_the_same_project() -> None:
    project = PROJECT["project"]
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {project['version']}\n" in citation
    assert f'repository-code: "{project["urls"]["Repository"]}"' in citation
    assert "cff-version: 1.2.0" in citation
    assert project["urls"]["Repository"] in (ROOT / "SECURITY.md").read_text()
    for name in ("Documentation", "Issues", "Changelog"):
        assert project["urls"][name].startswith(project["urls"]["Repository"])


def test_the_sdist_holds_what_a_wheel_is_built_from_and_no_samples() -> None:
    kept = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert {"tracekit", "analyses", "scripts/build_hook.py", "scripts/readme_hook.py"} <= set(kept)
    assert not {"reports", "traces", "tests"} & set(kept)
    assert all((ROOT / name).exists() for name in kept)
