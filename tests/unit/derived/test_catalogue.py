"""All kinds of objects together, in every form: each is built, proven, and the same to the byte when made again."""

from functools import cache

import pytest

from service.core.profiles import PRESETS, Kind, Profile
from service.derived.catalogue import CATALOGUE, proven
from service.derived.encoding import decode
from tests import factories

GRID = factories.grid(shape=(10, 32, 28))
EVERY = Profile(objects=tuple(Kind))
OF_FORM = (Kind.SEGMENTATION, Kind.CONTOURS, Kind.SURFACE, Kind.REPORT)  # what the other forms differ in
FORMS = {
    "binary": Profile(objects=OF_FORM),
    "label map, RLE; enhanced report": Profile(
        objects=OF_FORM, segmentation="labelmap", compression="rle", report="enhanced"
    ),
    "fractional, deflated; Latin-1": Profile(
        objects=OF_FORM, segmentation="fractional", compression="deflate", character_set="ISO_IR 100"
    ),
}


def _made(profile: Profile) -> dict[str, bytes]:
    sources = factories.headers(factories.ct_series(GRID))
    made_of = factories.material(sources, factories.layered(GRID), profile=profile, image=factories.volume(GRID))
    return proven(made_of)


_once = cache(_made)


def test_every_kind_is_proven_and_made_again_to_the_byte() -> None:
    objects = _made(EVERY)
    modalities = {"SEG", "RTSTRUCT", "M3D", "SR", "OT", "PR", "DOC", "KO"}
    assert {str(decode(encoded).Modality) for encoded in objects.values()} == modalities
    assert _made(EVERY) == objects


@pytest.mark.parametrize("profile", FORMS.values(), ids=FORMS.keys())
def test_every_form_is_proven_and_made_again_to_the_byte(profile: Profile) -> None:
    objects = _once(profile)
    assert {str(decode(encoded).Modality) for encoded in objects.values()} == {"SEG", "RTSTRUCT", "M3D", "SR"}
    assert _made(profile) == objects


def test_no_two_forms_share_an_object() -> None:
    uids = [uid for profile in FORMS.values() for uid in _once(profile)]
    assert len(set(uids)) == len(uids)


def test_every_kind_that_a_preset_names_can_be_built() -> None:
    assert {kind for preset in PRESETS.values() for kind in preset.objects} <= set(CATALOGUE) == set(Kind)
