"""All kinds of objects together, in every form: each is built, proven, and the same to the byte when made again."""

from functools import cache

import pytest

from service.core.profiles import PRESETS, Kind, Profile
from service.derived.catalogue import CATALOGUE, proven
from service.derived.encoding import decode
from tests import factories

GRID = factories.grid(shape=(10, 32, 28))
MODALITIES = {"SEG", "RTSTRUCT", "M3D", "SR", "OT", "PR", "DOC", "KO"}
FORMS = {
    "binary": Profile(objects=tuple(Kind)),
    "label map, RLE; enhanced report": Profile(
        objects=tuple(Kind), segmentation="labelmap", compression="rle", report="enhanced"
    ),
    "fractional, deflated; Latin-1": Profile(
        objects=tuple(Kind), segmentation="fractional", compression="deflate", character_set="ISO_IR 100"
    ),
}


def _made(profile: Profile) -> dict[str, bytes]:
    sources = factories.headers(factories.ct_series(GRID))
    made_of = factories.material(sources, factories.layered(GRID), profile=profile, image=factories.volume(GRID))
    return proven(made_of)


_once = cache(_made)


@pytest.mark.parametrize("profile", FORMS.values(), ids=FORMS.keys())
def test_every_kind_is_proven_in_every_form_and_made_again_to_the_byte(profile: Profile) -> None:
    objects = _once(profile)
    assert {str(decode(encoded).Modality) for encoded in objects.values()} == MODALITIES
    assert _made(profile) == objects


def test_no_two_forms_share_an_object() -> None:
    uids = [uid for profile in FORMS.values() for uid in _once(profile)]
    assert len(set(uids)) == len(uids)


def test_every_kind_that_a_preset_names_can_be_built() -> None:
    assert {kind for preset in PRESETS.values() for kind in preset.objects} <= set(CATALOGUE) == set(Kind)
