"""From the label map of a model to its regions: structures, overlaps, and lesions of their own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, generate_binary_structure
from scipy.ndimage import label as connected_components

from models.findings import Algorithm, Findings, Region
from models.sections import Label
from models.uneven import nearest_slices, spread
from models.volume import LabelMap

MOST_NUMBERS = 255
Labels = NDArray[np.uint8]


def found(algorithm: Algorithm, label_map: LabelMap, labels: Sequence[Label]) -> Findings:
    """The regions of a label map whose values are those of `labels`, in the order given.

    What belongs to several structures is drawn for each of them, in layers of their own. Raises ValueError when there
    are more lesions than a layer has numbers.
    """
    layer_of = _layers(labels)
    drawn = [_drawn(label_map, labels, layer_of, layer) for layer in range(max(layer_of) + 1)]
    free = count(max(label.value for label in labels) + 1)
    regions: list[Region] = []
    for label, layer in zip(labels, layer_of, strict=True):
        lesions = _number_lesions(drawn[layer], label, free) if label.lesions else []
        regions.extend(Region(label, number, layer, 0, 0.0, lesion) for lesion, number in enumerate(lesions, start=1))
        if not lesions:
            regions.append(Region(label, label.value, layer, 0, 0.0))
    return counted(Findings(algorithm, tuple(LabelMap(label_map.grid, array) for array in drawn), tuple(regions)))


def counted(findings: Findings) -> Findings:
    """The findings with the voxels and millilitres of each region as they are in its layer."""
    voxel_ml = findings.grid.voxel_volume_ml
    counts = [layer.counts() for layer in findings.layers]
    voxels = [int(counts[region.layer][region.number]) for region in findings.regions]
    regions = zip(findings.regions, voxels, strict=True)
    return replace(findings, regions=tuple(replace(region, voxels=n, volume_ml=n * voxel_ml) for region, n in regions))


def on_planes(findings: Findings, places: Sequence[float]) -> Findings:
    """The findings as the planes can show them: every slice of a layer repeats that of the nearest plane.

    Volumes are then those of the planes' own contours, each as deep as half the way to its neighbours (Cavalieri).
    """
    if not places:
        return findings
    nearest = nearest_slices(places)
    layers = tuple(
        LabelMap(layer.grid, spread(layer.labels[nearest], places, layer.grid.shape[0])) for layer in findings.layers
    )
    return counted(replace(findings, layers=layers, places=tuple(places)))


def plane_labels(findings: Findings, layer: int) -> Labels:
    """A layer on the source planes, (plane, row, column)."""
    labels = findings.layers[layer].labels
    return labels[nearest_slices(findings.places)] if findings.places else labels


def largest_planes(findings: Findings) -> dict[tuple[int, int], int]:
    """(layer, number) of each region found -> the source plane on which it has most voxels, the first of equals."""
    fullest = [_plane_counts(findings, layer).argmax(axis=0) for layer in range(len(findings.layers))]
    return {(region.layer, region.number): int(fullest[region.layer][region.number]) for region in findings.found}


def _plane_counts(findings: Findings, layer: int) -> NDArray[np.int64]:
    """How many voxels carry each number, (plane, 256)."""
    return np.stack([np.bincount(plane.ravel(), minlength=256) for plane in plane_labels(findings, layer)])


def _covered(label: Label) -> set[int]:
    return {label.value, *label.includes}


def _layers(labels: Sequence[Label]) -> list[int]:
    """The first layer for each label in which it overlaps no other."""
    taken: list[set[int]] = []
    chosen = []
    for label in labels:
        layer = next((index for index, values in enumerate(taken) if not values & _covered(label)), len(taken))
        if layer == len(taken):
            taken.append(set())
        taken[layer] |= _covered(label)
        chosen.append(layer)
    return chosen


def _drawn(label_map: LabelMap, labels: Sequence[Label], layer_of: Sequence[int], layer: int) -> Labels:
    number_of = np.zeros(256, dtype=np.uint8)
    for label, its_layer in zip(labels, layer_of, strict=True):
        if its_layer == layer:
            number_of[list(_covered(label))] = label.value
    return number_of[label_map.labels]


def _number_lesions(labels: Labels, label: Label, free: Iterator[int]) -> list[int]:
    """Give each piece of a label a number of its own: the largest keeps the label's, the others take free ones."""
    box = find_objects(labels, max_label=label.value)[-1]
    if box is None:
        return []
    within = labels[box]
    pieces, _ = connected_components(within == label.value, generate_binary_structure(3, 3))
    sizes = np.bincount(pieces.ravel())[1:]
    largest_first = np.argsort(-sizes, kind="stable") + 1
    numbers = [label.value, *islice(free, len(sizes) - 1)]
    if numbers[-1] > MOST_NUMBERS:
        raise ValueError(f"{label.name} is in {len(sizes)} pieces: more than can be lesions of their own")
    number_of = np.zeros(len(sizes) + 1, dtype=np.uint8)
    number_of[largest_first] = numbers
    within[pieces > 0] = number_of[pieces[pieces > 0]]
    return numbers
