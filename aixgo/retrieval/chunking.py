"""Chunking: a document in pieces small enough to be compared with a question and shown to a model.

Below: documents. Above: index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.retrieval.documents import Document

__all__ = ["Chunk", "check_sizes", "chunked"]

SIZE = 800  # characters
OVERLAP = 100  # characters
HEADING = re.compile(r"^(#{1,6})[ \t]+(\S.*)$")
FENCE = re.compile(r"^ {0,3}(```|~~~)")
MARKDOWN = (".md", ".markdown")
BREAKS = ("\n\n", "\n", ". ", " ")
"""Where a piece had better end, the best place first."""


@dataclass(slots=True, frozen=True)
class Chunk:
    """A piece of a document: `document#3` is the id of its fourth. Its metadata is the document's, and its own."""

    id: str
    text: str
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


def chunked(document: Document, size: int = SIZE, overlap: int = OVERLAP) -> list[Chunk]:
    """The pieces of `document`, none longer than `size` characters.

    Markdown, told by the document's id, is split at its headings first: no piece goes over one, and `heading` in
    its metadata is the path of headings above it. A section too long is split at a paragraph, line, sentence or
    word near the end of a piece, and each next piece repeats up to `overlap` characters of the one before.

    Raises:
        ConfigError: `size` and `overlap` do not fit each other.
    """
    check_sizes(size, overlap)
    markdown = document.id.lower().endswith(MARKDOWN)
    sections = _sections(document.text) if markdown else [("", document.text)]
    found: list[Chunk] = []
    for heading, text in sections:
        for piece in _pieces(text.strip(), size, overlap):
            own: dict[str, JSONValue] = {"document": document.id, "chunk": len(found)}
            if heading:
                own["heading"] = heading
            found.append(Chunk(f"{document.id}#{len(found)}", piece, {**document.metadata, **own}))
    return found


def check_sizes(size: int, overlap: int) -> None:
    """Refuse sizes that no text can be split by.

    Raises:
        ConfigError: which one is wrong.
    """
    if size < 1:
        raise ConfigError(f"chunk_size is {size}; a chunk has at least 1 character")
    if not 0 <= overlap <= size // 2:
        raise ConfigError(
            f"chunk_overlap is {overlap}; it must be from 0 to half of chunk_size, {size // 2}"
        )


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """The path of headings and the text of each section, its own heading included."""
    above: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        mark = FENCE.match(line)
        if mark and fence in ("", mark[1]):
            fence = "" if fence else mark[1]
        heading = None if fence else HEADING.match(line)
        if heading:
            yield " > ".join(title for _, title in above), "\n".join(lines)
            lines = []
            level = len(heading[1])
            above = [*(known for known in above if known[0] < level), (level, _title(heading[2]))]
        lines.append(line)
    yield " > ".join(title for _, title in above), "\n".join(lines)


def _title(text: str) -> str:
    """A heading without the signs that may close it; in an expression they would take the square of its length."""
    bare = text.rstrip().rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else text.rstrip()


def _pieces(text: str, size: int, overlap: int) -> Iterator[str]:
    begin = 0
    while len(text) - begin > size:
        end = _end(text, begin, begin + size)
        if piece := text[begin:end].strip():
            yield piece
        begin = max(begin + 1, _begin(text, end - overlap, end))
    if last := text[begin:].strip():
        yield last


def _end(text: str, begin: int, limit: int) -> int:
    """Behind the last good break in the second half of what may be taken, or the limit."""
    half = begin + (limit - begin) // 2
    for mark in BREAKS:
        at = text.rfind(mark, half, limit)
        if at > begin:
            return at + len(mark)
    return limit


def _begin(text: str, wanted: int, end: int) -> int:
    """The first begin of a word from `wanted` on, at most `end`."""
    if wanted >= end or text[wanted - 1].isspace():
        return wanted
    at = text.find(" ", wanted, end)
    return end if at < 0 else at + 1
