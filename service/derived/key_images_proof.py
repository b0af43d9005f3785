"""The proof of a Key Object Selection: it names exactly the images on which each region is largest."""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from models.findings import Findings
from service.core.entities import FrameReference
from service.derived import content_tree
from service.derived.checks import prove_file, prove_identity, prove_required_attributes, prove_volumes, same
from service.derived.companion import references
from service.derived.key_images import OF_INTEREST, described, key_planes
from service.derived.material import Made, Material
from service.derived.sources import reference


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one document names the images to look at, and no other; none where there are none."""
    del made
    sources, findings = material.sources, material.findings
    chosen = key_planes(findings, sources)
    same("number of key object selections", len(objects), 1 if chosen else 0)
    for selection in objects:
        prove_volumes(findings)
        prove_file(selection, KeyObjectSelectionDocumentStorage)
        prove_identity(selection, sources)
        prove_required_attributes(selection)
        same("title", content_tree.term(selection), OF_INTEREST[:2])
        same("description", content_tree.contained(selection, "TEXT", "TextValue"), [described(findings)])
        named = _named(selection)
        same("key images", named, [reference(sources[index]) for index in chosen])
        same("evidence", content_tree.evidence(selection), {image.sop_instance_uid for image in named})
        _prove_largest(named, sources, findings)


def _named(selection: Dataset) -> list[FrameReference]:
    items = [item for item in selection.ContentSequence if item.ValueType == "IMAGE"]
    same("concept names of images", [item for item in items if "ConceptNameCodeSequence" in item], [])
    return [image for item in items for image in references(item.ReferencedSOPSequence)]


def _prove_largest(named: Sequence[FrameReference], sources: Sequence[Dataset], findings: Findings) -> None:
    """No image shows more of a region than the best of those that are named."""
    slices = np.rint(findings.places).astype(int).tolist() if findings.places else list(range(len(sources)))
    for region in findings.found:
        mask = findings.mask(region)
        sizes = {
            reference(source): int(np.count_nonzero(mask[index])) for source, index in zip(sources, slices, strict=True)
        }
        best = max(sizes[image] for image in named)
        same(f"pixels of {region.name} on the best of the key images", best, max(sizes.values()))
