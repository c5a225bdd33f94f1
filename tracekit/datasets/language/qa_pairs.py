"""Question and answer pairs out of one free text, in all the styles that OpenSQA has."""

from __future__ import annotations

import re

# '1. ', '1) ', '**1.** ', '**Q1:** ', 'Q1: ', '1. **Question:** ', '### 1. '
HEAD = re.compile(
    r"^[ \t]*(?:[#>*_]+[ \t]*)*"
    r"(?:(?:Q(?:uestion)?[ \t]*)(?P<q>\d+)[ \t]*[:.)]|(?P<n>\d+)[ \t]*[.)])"
    r"[*_]*[ \t]*(?:[*_]*Q(?:uestion)?[ \t]*\d*[ \t]*:[*_]*[ \t]*)?",
    re.MULTILINE | re.IGNORECASE,
)
# at the start of a line 'Answer:', '- **Answer:**', 'A:', '1. Answer:'; within one only
# '**A1:**' and 'Answer:'
ANSWER = re.compile(
    r"(?:^[ \t]*(?:\d+[.)][ \t]*)?(?:[-*•][ \t]+)?[*_]*(?:Answer|Ans|A)[ \t]*\d*"
    r"|(?<=\s)(?:[*_]+(?:Answer|A)|Answer)[ \t]*\d*)"
    r"[ \t]*[*_]*[ \t]*:[*_]*[ \t]*",
    re.MULTILINE | re.IGNORECASE,
)
BULLET = re.compile(r"\n[ \t]*[-*•–][ \t]+")
NUMBERED_ANSWER = re.compile(
    r"^[ \t]*(?:[-*•][ \t]+)?[*_]*(?:Answer|Ans|A)\d*[ \t]*[*_]*[ \t]*:", re.I
)


def pairs(text: str) -> list[tuple[str, str]]:
    """(question, answer) in order; a question without an answer (cut off) is left out.

    A pair begins at a numbered line that asks or is answered; a numbered line that is itself an
    answer, or part of a list, belongs to the question before it. Within a pair the answer begins
    at its label ('Answer:', 'A:', 'A1:'), or without one at the first bullet or line after the
    question.
    """
    text = text.replace("\r\n", "\n")
    heads: list[re.Match[str]] = []
    last = 0
    lines = [head for head in HEAD.finditer(text) if not NUMBERED_ANSWER.match(text[head.end() :])]
    for at, head in enumerate(lines):
        number = int(head["q"] or head["n"])
        body = text[head.end() : lines[at + 1].start() if at + 1 < len(lines) else len(text)]
        # a list within an answer asks and answers nothing, and counts on its own
        asks = "?" in body or ANSWER.search(body) or BULLET.search(body)
        # but the next number at the very end is a question that was cut off
        if not asks and not (at + 1 == len(lines) and number == last + 1):
            continue
        if not heads or last < number <= last + 2:  # a model may skip one number
            heads.append(head)
            last = number
    found = []
    for at, head in enumerate(heads):
        end = heads[at + 1].start() if at + 1 < len(heads) else len(text)
        one = _pair(text[head.end() : end])
        if one is not None:
            found.append(one)
    return found


def _pair(body: str) -> tuple[str, str] | None:
    label = ANSWER.search(body)
    if label is not None:
        question, answer = body[: label.start()], body[label.end() :]
    elif bullet := BULLET.search(body):
        question, answer = body[: bullet.start()], body[bullet.end() :]
    else:
        question, _, answer = body.partition("\n")
    question, answer = _clean(question), _clean(answer)
    return (question, answer) if question and answer else None


def _clean(text: str) -> str:
    text = re.sub(r"[ \t]*\n\s*", " ", text).strip()
    text = re.sub(r"^[-•][ \t]+", "", text)
    return text.strip("*_ \t").strip()
