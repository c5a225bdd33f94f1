"""One spelling for what people do, whatever a data set calls it."""

from __future__ import annotations

KNOWN = {
    "walking": ("walk", "wlk"),
    "jogging": ("jog",),
    "running": ("run",),
    "biking": ("bike", "cycling"),
    "sitting": ("sit",),
    "standing": ("stand", "std"),
    "lying": ("laying", "lie"),
    # the pilot of SensorCaps spells them 'climimbing', 'decending', Shoaib 'upsatirs'
    "climbing stairs": (
        "stairsup",
        "upstairs",
        "ups",
        "walking upstairs",
        "ascending stairs",
        "climimbing stairs",
        "upsatirs",
    ),
    "descending stairs": (
        "stairsdown",
        "downstairs",
        "dws",
        "walking downstairs",
        "decending stairs",
    ),
}
ALIASES = {alias: label for label, aliases in KNOWN.items() for alias in aliases}


def canonical(label: str) -> str:
    """The label in lower case, with blanks, and one spelling for each activity."""
    plain = " ".join(label.replace("_", " ").lower().split())
    return ALIASES.get(plain, plain)
