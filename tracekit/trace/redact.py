"""What a trace should not carry when it is shared: found, and taken out.

Public traces hold their author's environment, access tokens among it, host names, and paths with
user names. Names of kernels and ops are left as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tracekit.patterns import later

REMOVED = "REDACTED"
_KEPT_BEFORE = rf"\g<before>{REMOVED}"

# No pattern here reads a character more than a few times: names may be of any length, and all of
# them are looked at in every analysis. What has no end begins where its run of letters begins, and
# gives nothing back (`++`).

# Prefixes that the issuers document, each long enough not to meet a kernel's name by chance.
_TOKEN = later(
    r"""(?x)
    \b(?:
      hf_[A-Za-z0-9]{20,}                      # Hugging Face
    | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_[A-Za-z0-9_]{30,}
    | glpat-[A-Za-z0-9_-]{20,}                 # GitLab
    | (?:AKIA|ASIA)[A-Z0-9]{16}                # AWS key id
    | sk-[A-Za-z0-9_-]{20,}                    # OpenAI, Anthropic
    | xox[abprs]-[A-Za-z0-9-]{10,}             # Slack
    | AIza[A-Za-z0-9_-]{35}                    # Google
    | npm_[A-Za-z0-9]{30,} | pypi-[A-Za-z0-9_-]{30,}
    )"""
)
# JSON web token: the first `eyJ` of a run is the longest, so no later one need be tried
_WEB_TOKEN = later(
    r"(?<![\w-])(?P<before>(?:(?!\beyJ)[A-Za-z0-9_-])*+)"
    r"eyJ[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{5,}+"
)
_SECRET_KEY = later(
    r"(?i)(?:^|[_-])(?:token|secret|passwd|password|api_?key|credentials?|access_?key|auth)(?:$|[_-])"
)
_HOME = later(r"(?P<root>/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2})(?P<user>[^/\\:;\"'\s]+)")
_ROOT_HOME = later(r"(?<![\w.~-])/root(?=/)")
# mail, and user@host: the letters of one or several, the first of a user, a host
_ADDRESSES = later(r"[\w.+@-]++")
_USER = later(r"\w")
_HOST = later(r"[\w-]++\.[\w.-]*\w")

# keys that hold an environment, a package list or a machine's or a person's name, at any depth
_DROPPED_KEYS = frozenset({"env", "environ", "environment", "pip_packages", "pip_list", "packages"})
_NAME_KEYS = frozenset(
    {"node", "hostname", "host", "host_name", "user", "username", "user_name", "started_by"}
)


def text(value: str) -> str:
    """`value` without tokens, mail addresses and home folders."""
    if "/" in value or "\\" in value:
        value = _HOME.sub("~", value)
        value = _ROOT_HOME.sub("~", value)
    if "@" in value:
        value = _ADDRESSES.sub(_without_addresses, value)
    if "eyJ" in value:
        value = _WEB_TOKEN.sub(_KEPT_BEFORE, value)
    return _TOKEN.sub(REMOVED, value)


def _without_addresses(found: re.Match[str]) -> str:
    """A run of letters, from its first address to its last one removed."""
    run = found[0]
    if "@" not in run:
        return run
    first = last = None
    at = 0
    for user, after in pairwise(run.split("@")):
        begins, ends = _USER.search(user), _HOST.match(after)
        if begins and ends:
            first = at + begins.start() if first is None else first
            last = at + len(user) + 1 + ends.end()
        at += len(user) + 1
    return run if first is None else f"{run[:first]}{REMOVED}{run[last:]}"


def value(item: object, key: str = "") -> Any:
    """Any JSON value scrubbed; `key` is the name under which it stands."""
    low = key.lower()
    if low in _NAME_KEYS and isinstance(item, str):
        return REMOVED
    if _SECRET_KEY.search(low) and isinstance(item, str) and item:
        return REMOVED
    if isinstance(item, str):
        return text(item)
    if isinstance(item, Mapping):
        return {
            text(str(name)): value(inner, str(name))
            for name, inner in item.items()
            if not (str(name).lower() in _DROPPED_KEYS and isinstance(inner, Mapping | list))
        }
    if isinstance(item, list):
        return [value(inner, key) for inner in item]
    return item


def leaks(meta: Mapping[str, object], names: Iterable[str] = ()) -> dict[str, int]:
    """How many of each kind of thing a trace carries that its author may not want to share.

    Kinds: 'access token', 'environment variables', 'package list', 'host or user name',
    'home folder'. Only kinds that were found are there.
    """
    found: Counter[str] = Counter()
    _look(meta, "", found)
    for name in names:
        _look_at_text(name, found)
    return dict(found)


def _look(item: object, key: str, found: Counter[str]) -> None:
    low = key.lower()
    if isinstance(item, Mapping):
        for name, inner in item.items():
            below = str(name).lower()
            if below in _DROPPED_KEYS and isinstance(inner, Mapping | list) and inner:
                kind = "environment variables" if below.startswith("env") else "package list"
                found[kind] += len(inner)
            _look(inner, str(name), found)
    elif isinstance(item, list):
        for inner in item:
            _look(inner, key, found)
    elif isinstance(item, str) and item and item != REMOVED:
        if low in _NAME_KEYS:
            found["host or user name"] += 1
        elif _SECRET_KEY.search(low):
            found["access token"] += 1
        else:
            _look_at_text(item, found)


def _look_at_text(item: str, found: Counter[str]) -> None:
    if _TOKEN.search(item) or ("eyJ" in item and _WEB_TOKEN.search(item)):
        found["access token"] += 1
    if _HOME.search(item) or _ROOT_HOME.search(item):
        found["home folder"] += 1
