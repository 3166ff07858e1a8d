"""Nearest vectors by sqlite-vec: its distance functions over the table itself, so that no vector is kept in memory.

It reads the same rows in the same file as the search in memory. What it finds roughly, in single precision, is
scored anew exactly, so that scores and ties are those of the other searches.

Below: _nearest, _tables. Above: the store in a file.
"""

from __future__ import annotations

import json
import sqlite3
from array import array

from aixgo.retrieval.filters import Where, matches
from aixgo.retrieval.stores._nearest import SLACK, Metric, best, score_of

__all__ = ["FUNCTIONS", "nearest"]

FUNCTIONS: dict[Metric, str] = {"cosine": "vec_distance_cosine", "euclidean": "vec_distance_L2"}
"""The metrics it has a function for."""
MORE = 32  # rows beyond those wanted, among which ties are looked for first
FITS = "aixgo_fits"


def nearest(
    connection: sqlite3.Connection,
    table: str,
    metric: Metric,
    vector: array[float],
    count: int,
    where: Where | None = None,
) -> list[tuple[str, float]]:
    """The `count` best ids and their scores, of the records that the filter fits."""
    if count < 1:
        return []
    condition = f"{FITS}(metadata)" if where else "1"
    if where:
        connection.create_function(FITS, 1, lambda facts: matches(json.loads(facts), where))
    # a vector without direction has no cosine: it is as far as one at a right angle
    distance = f"coalesce({FUNCTIONS[metric]}(vector, :asked), 1.0)"
    given = {"asked": vector.tobytes(), "most": count + MORE}
    rough = connection.execute(
        f"SELECT id, vector, {distance} AS far FROM {table} WHERE {condition} ORDER BY far LIMIT :most",  # noqa: S608 - our own names
        given,
    ).fetchall()
    if len(rough) == count + MORE:
        edge = rough[count - 1][2]
        limit = edge + SLACK * (1.0 + edge)
        if rough[-1][2] <= limit:  # there may be more of them
            rough = connection.execute(
                f"SELECT id, vector, {distance} AS far FROM {table} WHERE {condition} AND far <= :limit",  # noqa: S608 - our own names
                {"asked": given["asked"], "limit": limit},
            ).fetchall()
    return best(
        ((name, score_of(array("f", row), vector, metric)) for name, row, _ in rough), count
    )
