"""Every kind of object: which findings it is for, how it is built, and how it is proven from its bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from models.findings import Findings
from service.core.errors import Unproven
from service.core.profiles import Kind
from service.derived import (
    capture,
    capture_proof,
    contours,
    contours_proof,
    document,
    document_proof,
    heat_map,
    heat_map_proof,
    key_images,
    key_images_proof,
    measurement_report,
    presentation,
    presentation_proof,
    radiograph_report,
    radiograph_report_proof,
    report_proof,
    segmentation,
    segmentation_proof,
    surface,
    surface_proof,
)
from service.derived.checks import prove_character_set
from service.derived.encoding import decode, encode
from service.derived.finish import in_character_set
from service.derived.material import Made, Material
from service.derived.presentation import on_radiograph
from service.derived.wording import is_anything, marks


@dataclass(frozen=True, slots=True)
class Entry:
    """One kind. `build` and `prove` see what the kinds before it became."""

    applies: Callable[[Findings], bool]
    build: Callable[[Material, Made], Sequence[Dataset]]
    prove: Callable[[Sequence[Dataset], Material, Made], None]
    shows_image: bool = False  # it needs the image's values


def _always(findings: Findings) -> bool:
    del findings
    return True


def _is_drawn(findings: Findings) -> bool:
    """True when something has an outline on an image: regions, and marks on a radiograph."""
    return bool(findings.found) or any(map(on_radiograph, marks(findings)))


def _has_regions(findings: Findings) -> bool:
    return bool(findings.found)


def _has_heat_maps(findings: Findings) -> bool:
    return bool(findings.heat_maps)


def _build_report(material: Material, made: Made) -> Sequence[Dataset]:
    build = radiograph_report.build if material.of_radiograph else measurement_report.build
    return build(material, made)


def _prove_report(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    prove = radiograph_report_proof.prove if material.of_radiograph else report_proof.prove
    prove(objects, material, made)


# In the order of building: what refers to another object comes after it.
CATALOGUE: Mapping[Kind, Entry] = {
    Kind.SEGMENTATION: Entry(_has_regions, segmentation.build, segmentation_proof.prove),
    Kind.CONTOURS: Entry(_has_regions, contours.build, contours_proof.prove),
    Kind.SURFACE: Entry(_has_regions, surface.build, surface_proof.prove),
    Kind.HEAT_MAP: Entry(_has_heat_maps, heat_map.build, heat_map_proof.prove),
    Kind.REPORT: Entry(_always, _build_report, _prove_report),
    Kind.CAPTURE: Entry(_always, capture.build, capture_proof.prove, shows_image=True),
    Kind.PRESENTATION: Entry(_is_drawn, presentation.build, presentation_proof.prove),
    Kind.DOCUMENT: Entry(_always, document.build, document_proof.prove, shows_image=True),
    Kind.KEY_IMAGES: Entry(is_anything, key_images.build, key_images_proof.prove),
}


def shows_image(kinds: Sequence[Kind]) -> bool:
    """True when one of these kinds needs the image's values."""
    return any(entry.shows_image for kind, entry in CATALOGUE.items() if kind in kinds)


def proven(material: Material) -> dict[str, bytes]:
    """SOP Instance UID -> bytes of every object of the profile, the report last: it refers to others.

    Raises Unproven, with the check and both values, when an object does not say what it should.
    """
    made: dict[Kind, Sequence[Dataset]] = {}
    objects: dict[str, bytes] = {}
    for kind, entry in CATALOGUE.items():
        if kind not in material.profile.objects or not entry.applies(material.findings):
            continue
        built = entry.build(material, made)
        encoded = [encode(in_character_set(dataset, material.profile.character_set)) for dataset in built]
        made[kind] = [decode(each) for each in encoded]
        try:
            entry.prove(made[kind], material, made)
            for dataset in made[kind]:
                prove_character_set(dataset, material.profile.character_set)
        except Unproven as error:
            error.objects = tuple(encoded)
            raise
        objects |= {str(dataset.SOPInstanceUID): each for dataset, each in zip(made[kind], encoded, strict=True)}
    return objects
