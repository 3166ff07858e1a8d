"""`aixgo index`: documents into a file that retrievers search.

Below: retrieval. Beside: the other verbs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from aixgo.cli.answer import print_json
from aixgo.cli.invocation import run_loop
from aixgo.errors import ConfigError
from aixgo.retrieval import Index, SqliteStore, embedder_of
from aixgo.retrieval.chunking import OVERLAP, SIZE
from aixgo.retrieval.documents import document_files, read_document

__all__ = ["command"]


def command(
    path: Annotated[Path, typer.Argument(help="A folder with text and Markdown, or one file.")],
    to: Annotated[Path, typer.Option(help="The index.")] = Path("index.db"),
    embedding_model: Annotated[
        str, typer.Option(help="hashing, or vendor:model, which is paid.")
    ] = "hashing",
    chunk_size: Annotated[int, typer.Option(help="Characters of a passage.")] = SIZE,
    chunk_overlap: Annotated[int, typer.Option(help="Characters it repeats.")] = OVERLAP,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Make an index, or bring it up to date."""
    files = document_files(path)
    if not files:
        raise ConfigError(f"{path} holds no documents: no .md, .markdown or .txt")
    index = Index(
        SqliteStore(to),
        embedder_of(embedding_model),
        chunk_size=chunk_size,
        chunk_overlap=chunk_overlap,
    )
    chunks, removed = run_loop(_indexed(index, path, files))
    if as_json:
        print_json(
            {"index": str(to), "documents": len(files), "chunks": chunks, "removed": removed}
        )
    else:
        gone = f", {removed} documents that are gone removed" if removed else ""
        print(f"{to}: {len(files)} documents, {chunks} chunks{gone}")
    return 0


async def _indexed(index: Index, root: Path, files: Sequence[Path]) -> tuple[int, int]:
    """How many chunks there are then, and how many documents were there and are no more."""
    async with index:
        there = set()
        for file in _shown(files):
            document = read_document(file, root)
            there.add(document.id)
            await index.add(document)
        known = await index.documents()
        for name in sorted(known - there):
            await index.remove(name)
        return await index.size(), len(known - there)


def _shown(files: Sequence[Path]) -> Iterator[Path]:
    """The files, with a bar on a terminal that says how far it is."""
    if not sys.stderr.isatty():
        yield from files
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(files, "indexing", console=Console(stderr=True), transient=True)
