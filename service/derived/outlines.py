"""Outlines of masks along the edges of pixels: closed lines from which the mask comes back exactly."""

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Outline = NDArray[np.float64]

_TURNS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # right, down, left, up as (row, column)


def outlines(mask: Mask) -> list[Outline]:
    """Closed lines around the mask's pieces and around their holes, each (n, 2) corners as (column, row).

    (0, 0) is the outer corner of the first pixel and (1, 1) its inner one (PS3.3 C.10.5.1.2); the first corner comes
    again as the last.
    """
    steps = _steps(mask)
    found = []
    while steps:
        start = min(steps)
        found.append(_follow(steps, start))
    return found


def _steps(mask: Mask) -> dict[tuple[int, int], list[int]]:
    """By corner (row, column), the directions of the edges that leave it, with the mask to their right."""
    padded = np.pad(mask, 1).astype(np.int8)
    across, down = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    leaving: dict[tuple[int, int], list[int]] = {}
    edges = (
        (np.argwhere(across == 1), 0, (0, 0)),  # the mask begins below: along its upper side to the right
        (np.argwhere(down == -1), 1, (0, 0)),  # the mask ends at the left: down its right side
        (np.argwhere(across == -1), 2, (0, 1)),
        (np.argwhere(down == 1), 3, (1, 0)),
    )
    for places, direction, offset in edges:
        for row, column in (places + offset).tolist():
            leaving.setdefault((row, column), []).append(direction)
    return leaving


def _follow(steps: dict[tuple[int, int], list[int]], start: tuple[int, int]) -> Outline:
    """One line from a corner back to it, its edges taken out of `steps`; only corners where it turns are kept."""
    corners = [start]
    at, came = start, _take(steps, start, 0)
    while True:
        at = (at[0] + _TURNS[came][0], at[1] + _TURNS[came][1])
        if at == start:
            break
        turn = _take(steps, at, came)
        if turn != came:
            corners.append(at)
        came = turn
    return np.array([*corners, start], dtype=np.float64)[:, ::-1]


def _take(steps: dict[tuple[int, int], list[int]], at: tuple[int, int], came: int) -> int:
    """The direction to go on in; where two leave, the one that keeps pixels apart that touch at a corner."""
    directions = steps[at]
    chosen = next(turn for turn in ((came + 1) % 4, came, (came + 3) % 4) if turn in directions)
    directions.remove(chosen)
    if not directions:
        del steps[at]
    return chosen
