"""`aixgo index`: documents into a file that retrievers search.

Below: retrieval. Beside: the other verbs.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, cast

import typer

from aixgo.cli.answer import print_json
from aixgo.cli.invocation import run_loop
from aixgo.cli.logs import say
from aixgo.errors import ConfigError
from aixgo.message import JSONValue
from aixgo.retrieval import Index, SqliteStore, embedder_of
from aixgo.retrieval.chunking import OVERLAP, SIZE
from aixgo.retrieval.documents import document_files, read_document
from aixgo.retrieval.stores.base import Metric

__all__ = ["alone", "command"]


@dataclass(slots=True)
class _Done:
    """What came of a run."""

    documents: int = 0
    changed: int = 0
    chunks: int = 0
    removed: int = 0
    skipped: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        said = [f"{self.documents} documents", f"{self.chunks} chunks"]
        if self.changed < self.documents:
            said.append(f"{self.changed or 'none'} of them new or changed")
        if self.removed:
            said.append(f"{self.removed} documents that are gone removed")
        if self.skipped:
            said.append(f"{len(self.skipped)} files skipped")
        return ", ".join(said)


def command(
    path: Annotated[Path, typer.Argument(help="A folder with text and Markdown, or one file.")],
    to: Annotated[Path, typer.Option(help="The index.")] = Path("index.db"),
    collection: Annotated[
        str, typer.Option(help="Which collection of the index; each mirrors a path of its own.")
    ] = "",
    embedding_model: Annotated[
        str, typer.Option(help="hashing, or vendor:model, which is paid.")
    ] = "hashing",
    metric: Annotated[
        str, typer.Option(help="cosine, euclidean or dot_product; by default as the index is.")
    ] = "",
    chunk_size: Annotated[int, typer.Option(help="Characters of a passage.")] = SIZE,
    chunk_overlap: Annotated[int, typer.Option(help="Characters it repeats.")] = OVERLAP,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Make an index, or bring it up to date."""
    files = document_files(path)
    if not files:
        raise ConfigError(f"{path} holds no documents: no .md, .markdown or .txt")
    index = Index(
        SqliteStore(to, collection=collection, metric=cast("Metric | None", metric or None)),
        embedder_of(embedding_model),
        chunk_size=chunk_size,
        chunk_overlap=chunk_overlap,
    )
    with alone(to):
        done = run_loop(_indexed(index, path, files))
    if as_json:
        skipped: list[JSONValue] = [*done.skipped]
        print_json(
            {
                "index": str(to),
                "documents": done.documents,
                "changed": done.changed,
                "chunks": done.chunks,
                "removed": done.removed,
                "skipped": skipped,
            }
        )
    else:
        print(f"{to}: {done}")
    return 0


async def _indexed(index: Index, root: Path, files: Sequence[Path]) -> _Done:
    """Each file that can be read put in, whole, before the next: an interrupt leaves an index of those before it."""
    done, there = _Done(), set()
    async with index:
        for file in _shown(files):
            there.add(file.relative_to(root).as_posix() if file != root else file.name)
            try:
                document = read_document(file, root)
            except ConfigError as exc:
                done.skipped.append(str(exc))
                continue
            done.documents += 1
            if not await index.has(document):
                done.changed += 1
                await index.add(document)
        for reason in done.skipped:
            say(f"skipped: {reason}")
        if not done.documents:
            raise ConfigError(f"none of the files can be indexed: {done.skipped[0]}")
        gone = await index.documents() - there
        for name in sorted(gone):
            await index.remove(name)
        done.chunks, done.removed = await index.size(), len(gone)
    return done


@contextmanager
def alone(to: Path) -> Iterator[None]:
    """Be the only process that indexes into `to`: two at once would take out each other's documents.

    Raises:
        ConfigError: another does.
    """
    lock = Path(f"{to}-indexing")
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise ConfigError(f"the index {str(to)!r} cannot be opened: {exc.strerror}") from exc
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise ConfigError(
                f"{to} is being indexed by another process; try again when it is done"
            ) from None
        except OSError:  # a file system without locks
            break
        with suppress(FileNotFoundError):
            if lock.stat().st_ino == os.fstat(file).st_ino:
                break
        os.close(file)  # it was removed between our opening and locking it
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(file)


def _shown(files: Sequence[Path]) -> Iterator[Path]:
    """The files, with a bar on a terminal that says how far it is."""
    if not sys.stderr.isatty():
        yield from files
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(files, "indexing", console=Console(stderr=True), transient=True)
