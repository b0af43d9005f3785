"""How large the patient is, as the images say it: where they do not say it plainly, it is not known."""

import math
from collections.abc import Sequence

from pydicom import Dataset

from models.terms import Span

HEIGHT_M = Span(minimum=0.3, maximum=2.6)  # beyond lie centimetres in the wrong attribute and slips of the pen
WEIGHT_KG = Span(minimum=1.0, maximum=400.0)


def body_surface_m2(sources: Sequence[Dataset]) -> float | None:
    """The surface of the body after Mosteller (1987), from Patient's Size and Patient's Weight (PS3.3 C.7.2.2).

    None where one of them is absent, no plausible number, or not the same in all images.
    """
    height_m = _agreed(sources, "PatientSize", HEIGHT_M)
    weight_kg = _agreed(sources, "PatientWeight", WEIGHT_KG)
    if height_m is None or weight_kg is None:
        return None
    return math.sqrt(height_m * weight_kg / 36.0)


def _agreed(sources: Sequence[Dataset], keyword: str, plausible: Span) -> float | None:
    said = {str(source.get(keyword) or "") for source in sources}
    try:
        (value,) = map(float, said)
    except ValueError:  # several, none, or no number
        return None
    return value if plausible.holds(value) else None
