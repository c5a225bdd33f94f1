"""What a user can act on. Everything else is a bug and keeps its traceback."""


class TracekitError(Exception):
    """Something the user can act on: what is wrong, where, and what to do next."""

    def __init__(self, what: str, *, where: object, hint: str) -> None:
        super().__init__(f"{where}: {what}; {hint}")
        self.what = what
        self.where = where
        self.hint = hint


class UsageError(TracekitError):
    """The command, or the call, was written wrongly: no file and no machine could make it right."""


class NotATraceError(TracekitError):
    """The file can be read, but holds no Kineto trace."""


class DamagedTraceError(TracekitError):
    """The file is a trace, but part of it is lost and the caller asked for all of it."""


class MissingEventsError(TracekitError):
    """The trace has no events from which this question could be answered.

    `what` is the reason that is shown beside the analyses that could be answered.
    """


def reason(fault: BaseException) -> str:
    """What a foreign fault says, in few words: the system's own where it began with one.

    Libraries wrap 'Connection refused' five times, each time with more of their own insides.
    """
    seen: list[BaseException] = []
    waiting: list[object] = [fault]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            # urllib3 keeps causes as arguments, or as `reason`
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    for one in reversed(seen):
        if isinstance(one, OSError) and one.strerror:
            return str(one.strerror)
    said = " ".join(str(fault).split()) or type(fault).__name__
    return said if len(said) <= 160 else f"{said[:159]}…"
