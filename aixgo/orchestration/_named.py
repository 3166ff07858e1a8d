"""Whom, or what, an agent means by a name it wrote.

Below: nothing. Above: the patterns that go by what an agent names.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

__all__ = ["meant"]


def meant(text: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `text` is but for outer blanks; else but for case too, the first of several.

    Letters written in two characters are those written in one: models and keyboards differ in that.
    """
    known = list(names)
    wanted = unicodedata.normalize("NFC", text.strip())
    if wanted in known:
        return wanted
    folded = wanted.casefold()
    return next((name for name in known if name.casefold() == folded), None)
