"""Documents: texts with an id and metadata, read from files and folders.

Below: errors. Above: chunking, index.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aixgo.errors import ConfigError
from aixgo.message import JSONValue

__all__ = ["SUFFIXES", "Document", "document_files", "read_document", "read_documents"]

SUFFIXES = (".md", ".markdown", ".txt")
MAX_BYTES = 16 * 2**20  # of one file


@dataclass(slots=True, frozen=True)
class Document:
    """A text to search in. `id` says which one it is among all of an index, such as its path."""

    id: str
    text: str
    metadata: Mapping[str, JSONValue] = field(default_factory=dict)


def document_files(path: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The files of a folder and those below it, sorted; a file is its own list.

    Files and folders whose names begin with a dot are passed over, and so are links that lead out of the folder.

    Raises:
        ConfigError: there is nothing at `path`, or it is a file of another kind.
    """
    root = Path(path)
    if root.is_file():
        if root.suffix.lower() not in suffixes:
            raise ConfigError(
                f"{root} is no document: its name ends in none of {', '.join(suffixes)}"
            )
        return [root]
    if not root.is_dir():
        raise ConfigError(f"there is no file or folder {str(path)!r} to read documents from")
    return sorted(_below(root, suffixes))


def read_document(file: Path, root: Path) -> Document:
    """The file as a document, called by its path below `root`; `source` in its metadata is that path too.

    Raises:
        ConfigError: it is too large, is no text in UTF-8 or cannot be read.
    """
    name = file.relative_to(root).as_posix() if file != root else file.name
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{file} has more than {MAX_BYTES // 2**20} MiB; split it")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{file} is no UTF-8 text: byte {exc.start}; convert it") from exc
    except OSError as exc:
        raise ConfigError(f"{file} cannot be read: {exc.strerror}") from exc
    if "\0" in text:
        raise ConfigError(f"{file} is no text: it holds a byte of zero")
    return Document(name, text, {"source": name})


def read_documents(path: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> Iterator[Document]:
    """The documents of a file or folder, in the order of their paths, one read at a time.

    Raises:
        ConfigError: there is nothing at `path`, or a file in it cannot be read.
    """
    root = Path(path)
    for file in document_files(root, suffixes):
        yield read_document(file, root)


def _below(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    real = root.resolve()
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            file = Path(folder, name)
            hidden = name.startswith(".") or file.suffix.lower() not in suffixes
            if not hidden and file.is_file() and file.resolve().is_relative_to(real):
                yield file
