"""Puts `analyses/` into a wheel as `tracekit.analyses`; an editable install maps the checkout.

In a checkout `tracekit/analyses/__init__.py` says where they are. Hatchling would copy what is
configured as `force-include` into the site-packages of an editable install too, where it would
hide the checkout's `tracekit`: hence a hook.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class OnePackage(BuildHookInterface[Any]):
    """Called by hatchling for each wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"]["analyses"] = "tracekit/analyses"
