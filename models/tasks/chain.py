"""Models one after another on one volume: each but the first on the part where an earlier one found something."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from models import cropping
from models.cropping import Block, Edges
from models.findings import Findings, Region
from models.intake import Declined, objections, value_objections
from models.manifest import Chain, Manifest
from models.regions import counted
from models.sections import Intake
from models.steps import Step, Within
from models.tasks.identity import algorithm
from models.volume import Grid, LabelMap, Volume

Ask = Callable[[Volume, Sequence[float]], Findings]


@dataclass(frozen=True, slots=True)
class Link:
    """A step that is ready to be asked: what the chain says of it, its manifest, its predictor."""

    said: Step
    manifest: Manifest
    ask: Ask


@dataclass(frozen=True, slots=True)
class Chained:
    """The steps in their order, and the manifest of the chain."""

    manifest: Chain
    links: tuple[Link, ...]

    def __call__(self, volume: Volume, places: Sequence[float] = ()) -> Findings:
        """What the steps found that are told, on the volume's own grid and measured there.

        Unevenly spaced slices stay together: with `places` a step works on all of them, and on a part of each. Raises
        Declined when a step finds nothing to hand on, or must not run on what it is handed; else as the steps do.
        """
        found: list[Findings] = []
        for number, link in enumerate(self.links, start=1):
            block = self._block(number, link.said.within, found, volume.grid)
            if places:
                block = (slice(0, volume.grid.shape[0]), *block[1:])
            part = cropping.cut(volume, block)
            self._require_suitable(number, link.manifest, part, places)
            found.append(_put_back(self._asked(number, part, places), block, volume.grid))
        return self._told(found, places)

    def _asked(self, number: int, part: Volume, places: Sequence[float]) -> Findings:
        try:
            return self.links[number - 1].ask(part, places)
        except Declined as reason:
            raise Declined(f"{self._name(number)}: {reason}") from reason

    def _block(self, number: int, within: Within | None, found: Sequence[Findings], grid: Grid) -> Block:
        if within is None:
            return cropping.whole(grid)
        earlier = f"step {within.step} ({self.links[within.step - 1].manifest.name})"
        where = edges(found[within.step - 1], within.what, grid)
        if where is None:
            raise Declined(f"{earlier} found no {within.what}: nothing to hand to {self._name(number)}")
        block = cropping.block_around(where, grid, within.margin_mm)
        if block is None:
            raise Declined(f"{earlier} found {within.what} outside of the image: nothing for {self._name(number)}")
        return block

    def _require_suitable(self, number: int, manifest: Manifest, part: Volume, places: Sequence[float]) -> None:
        intake = manifest.intake
        if not isinstance(intake, Intake):
            raise TypeError(f"{self._name(number)} is not asked about volumes")
        modality = self.manifest.intake.modalities[0]  # the image has one of these, and the step takes them all
        against = (*objections(intake, modality, part.grid, places=places), *value_objections(intake, part))
        if against:
            raise Declined(f"{self._name(number)}: {'; '.join(against)}")

    def _name(self, number: int) -> str:
        return f"step {number} ({self.links[number - 1].manifest.name})"

    def _told(self, found: Sequence[Findings], places: Sequence[float]) -> Findings:
        told = Findings(
            algorithm(self.manifest, tuple(algorithm(link.manifest) for link in self.links)), places=tuple(places)
        )
        for number, each in enumerate(found, start=1):
            if self.manifest.tells(number):
                told = joined(told, chosen(each, partial(self.manifest.tells_of, number)))
        return told


def edges(findings: Findings, what: str | int, grid: Grid) -> Edges | None:
    """Where among the voxels a label or a box is that is named by name or number; None where it was not found."""
    masks = [findings.mask(region) for region in findings.found if what in (region.label.name, region.label.value)]
    around = [cropping.edges_of_mask(mask) for mask in masks]
    around += [
        cropping.edges_of_box(np.asarray(box.low), np.asarray(box.high), grid)
        for number, box in enumerate(findings.boxes, start=1)
        if what in (box.term.name, number)
    ]
    there = [each for each in around if each is not None]
    if not there:
        return None
    return Edges(np.min([each.low for each in there], axis=0), np.max([each.high for each in there], axis=0))


def chosen(findings: Findings, is_told: Callable[[str], bool]) -> Findings:
    """The findings without what is not told by its name; a layer of which nothing is left goes too."""
    regions = [region for region in findings.regions if is_told(region.label.name)]
    used = sorted({region.layer for region in regions})
    return replace(
        findings,
        layers=tuple(_only(findings.layers[layer], regions, layer) for layer in used),
        regions=tuple(replace(region, layer=used.index(region.layer)) for region in regions),
        scores=tuple(each for each in findings.scores if is_told(each.term.name)),
        boxes=tuple(each for each in findings.boxes if is_told(each.term.name)),
        points=tuple(each for each in findings.points if is_told(each.term.name)),
    )


def joined(first: Findings, second: Findings) -> Findings:
    """The findings of two models on one grid, told by the first; each keeps layers of its own."""
    regions = tuple(replace(region, layer=region.layer + len(first.layers)) for region in second.regions)
    return replace(
        first,
        layers=(*first.layers, *second.layers),
        regions=(*first.regions, *regions),
        scores=(*first.scores, *second.scores),
        boxes=(*first.boxes, *second.boxes),
        points=(*first.points, *second.points),
        measurements=(*first.measurements, *second.measurements),
        remarks=(*first.remarks, *second.remarks),
    )


def _only(label_map: LabelMap, regions: Sequence[Region], layer: int) -> LabelMap:
    kept = np.zeros(256, dtype=np.uint8)
    numbers = [region.number for region in regions if region.layer == layer]
    kept[numbers] = numbers
    return LabelMap(label_map.grid, kept[label_map.labels])


def _put_back(findings: Findings, block: Block, grid: Grid) -> Findings:
    """The findings of a part on the grid that it was cut from; what is in mm is where it was."""
    layers = tuple(cropping.put_back(layer, block, grid) for layer in findings.layers)
    return counted(replace(findings, layers=layers)) if layers else findings
