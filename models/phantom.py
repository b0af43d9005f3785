"""Synthetic anatomy with exact truth: for the demonstration, for tests, for pre-training."""

from dataclasses import dataclass

from models.volume import LabelMap, Volume


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A volume in HU and the exact truth about it."""

    volume: Volume
    label_map: LabelMap


def abdomen(seed: int, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Phantom:
    raise NotImplementedError
