"""English words that say little about what a text is about: a search counts them less, or not at all.

Below: nothing. Above: _words, the hashing embedder.
"""

from __future__ import annotations

__all__ = ["COMMON"]

_LISTED = """
    a about after all also am an and any anybody are as at be because been before being both but by can could did do
    does doing done each either else ever every few for from get gets give given go goes had has have having he her
    here him his how i if in into is it its itself just let like made make makes many may me might more most much must
    my neither no nobody nor not nothing of off on once one only onto or other others our out over own per please same
    say says she should so some somebody something such take takes tell than that the their them then there these they
    this those through to too under until up upon us use used uses using very want wants was way we well were what
    when where which while who whom whose why will with within without would yes yet you your yours
"""
COMMON = frozenset(_LISTED.split())
