"""Events that swell: a few compressed bytes that unpack to more text than any profiler writes.

A megabyte of gzip holds a gigabyte of one letter. Text that unpacks as traces do passes through;
where a block swells, events are looked at one by one and those that are too long are left out.
"""

from __future__ import annotations

from tracekit.trace.json.scanning import BOUNDARY, is_event

BLOCK = 1 << 15  # compressed bytes that are looked at together
LONGEST = 64 << 20  # bytes of an event; more is no event of any profiler
SWOLLEN = 64  # times its compressed size: traces unpack to ten or thirty times theirs
LARGE = 1 << 20  # bytes of an event that counts below
BUDGET = 64 << 20  # bytes of large events in swollen blocks, all together
_OVERLAP = 1 << 12  # of a boundary that two blocks share


class Swollen:
    """Takes unpacked blocks in order, gives what of them is to be read."""

    def __init__(self) -> None:
        self.lost = 0  # bytes of what was left out
        self.events = 0  # and how many
        self._held = bytearray()  # the event that is not over yet
        self._passing = False  # inside an event that is left out
        self._large = 0
        self._blank = True  # nothing but white space so far
        self._whole = 0  # events that were seen from their begin to their end

    def passes(self, length: int, stored: int) -> bool:
        """Whether a block is read as it is, whatever it says; else `take` is to be asked."""
        inside = self._blank or self._held or self._passing
        return not inside and length <= SWOLLEN * max(stored, 1)

    def take(self, block: bytes, stored: int) -> bytes:
        """What is to be read of a block that `stored` compressed bytes held."""
        self._blank = self._blank and not block.strip()
        # white space before all else is no event that swells: who looks for the begin gives up
        calm = self._blank or len(block) <= SWOLLEN * max(stored, 1)
        if calm and not self._held and not self._passing:
            return block
        before = len(self._held)
        self._held += block
        out = bytearray()
        start = 0  # of the event at hand, in what is held
        for cut in self._cuts(max(before - _OVERLAP, 0)):
            self._give(out, start, cut)
            start = cut
        if self._passing or len(self._held) - start > LONGEST:
            self._leave_out(len(self._held) - start - (_OVERLAP if self._passing else 0))
            del self._held[: max(start, len(self._held) - _OVERLAP)]
        elif calm:
            out += self._held[start:]
            self._held.clear()
        else:
            del self._held[:start]
        return bytes(out)

    def rest(self) -> bytes:
        """What is left where the text ends."""
        left = b"" if self._passing else bytes(self._held)
        self._held.clear()
        return left

    def _cuts(self, at: int) -> list[int]:
        """Where events start in what is held, from `at` on."""
        text = bytes(self._held)
        found: list[int] = []
        mark = at  # the next key of an event
        for boundary in BOUNDARY.finditer(text, at):
            if mark < boundary.start():
                mark = text.find(b'"ph"', boundary.start())
            if mark < 0:
                break  # what follows is no event, however many objects it holds
            opens = text.index(b"{", boundary.start())
            if text.startswith(b'"ph"', opens + 1) or is_event(text, opens):
                found.append(opens)
        return found

    def _give(self, out: bytearray, start: int, stop: int) -> None:
        """Adds an event to what is to be read, if it is none that is left out."""
        length = stop - start
        self._whole += 1
        if self._passing:  # the first of what is held was counted with the block before
            self._passing = False
            self.lost += max(length - _OVERLAP, 0)
            return
        self._large += length if length > LARGE else 0
        if length > LONGEST or (length > LARGE and self._large > BUDGET):
            self.lost += length
            self.events += 1
            return
        out += self._held[start:stop]

    def _leave_out(self, length: int) -> None:
        self.events += not self._passing
        self.lost += max(length, 0)
        self._passing = True

    @property
    def fault(self) -> str | None:
        """What was left out, in words."""
        if not self.events:
            return None
        if self.events == 1 and not self._whole:
            return f"the first {self.lost:,} bytes of text, in which no event ends, left out"
        of = "an event" if self.events == 1 else f"{self.events:,} events"
        return f"{of} of {self.lost:,} bytes of text, more than any profiler writes, left out"
