#!/usr/bin/env python3
"""Holds the wheel to its promise: a light install that reads, analyzes and compares traces.

    .venv/bin/python scripts/check_wheel.py

Builds the sdist and from it the wheel, installs that with the core dependencies alone into an empty
environment, and uses it in an empty folder; then installs the checkout there as editable. Needs
hatchling, which the extra `dev` brings, and a package index.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TRACE = ROOT / "traces" / "sample-onellm-tiny-cpu.pt.trace.json.gz"
MOST_PACKAGES = 25
MOST_MB = 200
MOST_SDIST_MB = 2
NO_TORCH = (
    "error: onellm: needs torch and transformers, which are not installed; "
    "pip install 'tracekit[capture]'\n"
)
# a checkout on the path would be what is imported
CLEAN = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
CLEAN |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "TRACEKIT_CACHE": "off"}


def run(*args: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """What a program printed. Ends this script where it ended in another way than expected."""
    ran = subprocess.run(
        [*map(str, args)], cwd=cwd, env=CLEAN, capture_output=True, text=True, check=False
    )
    if ran.returncode != code:
        sys.exit(f"{' '.join(map(str, args))}: exit {ran.returncode}\n{ran.stdout}{ran.stderr}")
    return ran


def check(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"the wheel: {what}")


def build(place: Path) -> Path:
    """The wheel, built from the sdist."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", place, cwd=ROOT)
    (sdist,) = place.glob("*.tar.gz")
    size = sdist.stat().st_size / 2**20
    check(size < MOST_SDIST_MB, f"its sdist has {size:.1f} MB, more than {MOST_SDIST_MB}")
    with tarfile.open(sdist) as held:
        tops = {Path(name).parts[1] for name in held.getnames() if len(Path(name).parts) > 1}
    check(not tops & {"traces", "reports", "tests"}, f"its sdist holds {sorted(tops)}")
    wheel = wheel_of(sdist, place)
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()
    roots = {name.split("/")[0] for name in names if ".dist-info" not in name}
    check(roots == {"tracekit"}, f"it holds {sorted(roots)} at the top")
    check("tracekit/analyses/stages/analysis.py" in names, "it lacks the analyses")
    return wheel


def wheel_of(source: Path, place: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    before = set(place.glob("*.whl"))
    run(*pip, "-w", place, source, cwd=place)
    (made,) = set(place.glob("*.whl")) - before
    return made


def size_of(python: Path, place: Path) -> None:
    """Counts packages, pip and its kin too, and all bytes beneath site-packages."""
    listed = run(python, "-m", "pip", "list", "--format=json", cwd=place).stdout
    packages = [one["name"] for one in json.loads(listed)]
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place)
    files = (path for path in Path(site.stdout.strip()).rglob("*") if path.is_file())
    mb = sum(path.stat().st_blocks * 512 for path in files) / 2**20
    print(f"the core alone: {len(packages)} packages, {mb:.0f} MB: {', '.join(packages)}")
    check(len(packages) <= MOST_PACKAGES, f"more than {MOST_PACKAGES} packages")
    check(mb <= MOST_MB, f"more than {MOST_MB} MB")


def use(tools: Path, place: Path) -> None:
    """What a user of the core does, from an empty folder."""
    tracekit = tools / "tracekit"
    run(tracekit, "analyze", TRACE, "-o", "page.html", cwd=place)
    run(sys.executable, ROOT / "scripts" / "check_report.py", "page.html", cwd=place)
    told = json.loads(run(tracekit, "analyze", TRACE, "--json", cwd=place).stdout)
    check(bool(told["traces"][0]["answers"]["stages"]["rows"]), "no stages in the JSON")
    run(tracekit, "compare", TRACE, TRACE, "-o", "diff.html", cwd=place)
    run(tracekit, "export", TRACE, "out.json.gz", cwd=place)
    for name in ("page.html", "diff.html", "out.json.gz"):
        check((place / name).stat().st_size > 10_000, f"{name} is nearly empty")
    refused = run(tracekit, "capture", "onellm", cwd=place, code=1)
    check(refused.stderr == NO_TORCH, f"capture says {refused.stderr!r}")


def one_package(python: Path, place: Path) -> None:
    """Nothing but `tracekit` can be imported, and a user's own `analyses` is no hindrance."""
    for name in ("analyses", "tests", "scripts"):
        run(python, "-c", f"import {name}", cwd=place, code=1)
    own = place / "own" / "analyses"
    own.mkdir(parents=True, exist_ok=True)
    (own / "__init__.py").write_text("raise SystemExit('the user\\'s own analyses was imported')\n")
    ask = f"import tracekit; print(len(tracekit.load({str(TRACE)!r}).stages().result.rows))"
    found = run(python, "-c", ask, cwd=own.parent).stdout
    check(int(found) > 0, "no stages from Python")


def plugin(tools: Path, place: Path) -> None:
    """The package that docs/plugins.md shows, installed by pip."""
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    for name, content in re.findall(r"^```\w+\n# (\S+)\n(.*?)^```$", text, re.M | re.S):
        path = place / "lab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (place / "lab" / "tracekit_lab" / "__init__.py").touch()
    made = wheel_of(place / "lab", place)
    run(tools / "python", "-m", "pip", "install", "-q", "--no-deps", made, cwd=place)
    only = run(tools / "tracekit", "analyze", TRACE, "--json", "--only", "copies", cwd=place)
    answers = json.loads(only.stdout)["traces"][0]["answers"]
    check(answers["copies"]["calls"] > 0, "the package of docs/plugins.md gives no answer")


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tracekit-wheel-") as folder:
        place = Path(folder)
        (place / "made").mkdir()
        (place / "empty").mkdir()
        wheel = build(place / "made")
        venv.create(place / "venv", with_pip=True)
        tools = place / "venv" / "bin"
        pip = (tools / "python", "-m", "pip")
        run(*pip, "install", "-q", wheel, cwd=place)
        size_of(tools / "python", place)
        use(tools, place / "empty")
        one_package(tools / "python", place / "empty")
        plugin(tools, place / "made")
        run(*pip, "uninstall", "-q", "-y", "tracekit", cwd=place)
        run(*pip, "install", "-q", "-e", ROOT, cwd=place)
        one_package(tools / "python", place / "empty")
    print(f"the wheel and the editable install are sound ({time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
