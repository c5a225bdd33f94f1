"""The five parts of a request, and the annotation that marks each in a trace."""

from enum import StrEnum

PREFIX = "tracekit::"


class Stage(StrEnum):
    """In the order in which a request passes through them."""

    LOAD = "load"
    PREPROCESS = "preprocess"
    ENCODE = "encode"
    PREFILL = "prefill"
    DECODE = "decode"

    @property
    def marker(self) -> str:
        """The `record_function` name that marks this stage."""
        return f"{PREFIX}{self.value}"


SAMPLE = f"{PREFIX}sample#"  # followed by the sample's number
DECODE_STEP = f"{PREFIX}decode_step#"  # followed by the number of the decoded token
