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
    wanted = text.strip()
    if wanted in known:
        return wanted
    composed = {name: unicodedata.normalize("NFC", name) for name in known}
    wanted = unicodedata.normalize("NFC", wanted)
    folded = wanted.casefold()
    same = (name for name in known if composed[name] == wanted)
    alike = (name for name in known if composed[name].casefold() == folded)
    return next(same, next(alike, None))
