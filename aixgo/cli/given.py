"""What a command gets to work on: a text on the command line, on standard input, or in a file.

Below: errors. Above: run, call.
"""

from __future__ import annotations

import sys
from pathlib import Path

from aixgo.errors import ConfigError

__all__ = ["read_input"]


def read_input(text: str | None, file: Path | None) -> str | None:
    """What `--input` or `--input-file` say; None if neither was given.

    Raises:
        ConfigError: both were, the file cannot be read, or what was read is not UTF-8 text.
    """
    if text is not None and file is not None:
        raise ConfigError("--input and --input-file are both given; one is enough")
    if file is not None:
        try:
            return file.read_text(encoding="utf-8")
        except OSError as exc:
            raise ConfigError(f"{file}: {exc.strerror or 'cannot be read'}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigError(f"{file}: the input is not UTF-8 text") from exc
    if text == "-":
        try:
            return sys.stdin.buffer.read().decode()
        except UnicodeDecodeError as exc:
            raise ConfigError("the input on standard input is not UTF-8 text") from exc
    return text
