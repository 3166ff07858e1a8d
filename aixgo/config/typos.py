"""Whether an unknown key is a known one with a slip in it.

Stricter than `errors.nearest`, which finds something to suggest: a typo is refused, any other unknown
key is somebody's own. Below: nothing. Above: config.check.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["is_typo", "typo_of"]


def typo_of(name: str, known: Iterable[str]) -> str:
    """The known key that `name` is probably meant to be, or ""."""
    return next((key for key in known if is_typo(name, key)), "")


def is_typo(written: str, key: str) -> bool:
    """True if one slip of the keyboard, or two in a long word, makes `written` of `key`."""
    left, right = _plain(written), _plain(key)
    if left == right:
        return written != key
    allowed = 1 if min(len(left), len(right)) < 7 else 2
    if min(len(left), len(right)) < 3 or abs(len(left) - len(right)) > allowed:
        return False
    return _slips(left, right) <= allowed


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _slips(left: str, right: str) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        before, row = row, current
    return row[-1]
