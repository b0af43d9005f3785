"""Projection images: which instances are radiographs, and what a millimetre is on them."""

from models.intake import RadiographFacts
from service.core.ages import age_years
from service.core.entities import ImageScale, PixelSpacing, Projection, Slice

ATTRIBUTES = (
    "Rows",
    "Columns",
    "ViewPosition",
    "PatientPosition",
    "ImageLaterality",
    "Laterality",
    "PresentationIntentType",
    "PixelSpacing",
    "PixelSpacingCalibrationType",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "EstimatedRadiographicMagnificationFactor",
)
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_RADIOGRAPHY = {f"{_STORAGE}{root}" for root in ("1", "1.1", "1.1.1")}  # CR, DX for presentation, DX for processing
_SECONDARY_CAPTURE = f"{_STORAGE}7"
_MODALITIES = {"CR", "DX", "RG"}
_VIEWS = {"AP", "PA", "LL", "RL"}
_SAME = 1e-3  # of a spacing, relative


def is_radiograph(each: Slice) -> bool:
    """True for CR and DX images, and for secondary captures that say that they show one."""
    return names_radiograph(each.instance.sop_class_uid, each.instance.value("Modality"))


def names_radiograph(sop_class_uid: str, modality: str) -> bool:
    """As `is_radiograph`, of an image by its SOP Class and Modality."""
    if sop_class_uid == _SECONDARY_CAPTURE:
        return modality in _MODALITIES
    return sop_class_uid in _RADIOGRAPHY


def radiograph(each: Slice) -> Projection:
    """The image as a radiograph of its own."""
    return Projection(
        slices=(each,),
        facts=RadiographFacts(
            view=each.value("ViewPosition") or _misplaced_view(each),
            body_part=each.value("BodyPartExamined"),
            age_years=age_years(each.value("PatientAge")),
            rows=_whole(each.value("Rows")),
            columns=_whole(each.value("Columns")),
        ),
        scale=scale_of(each),
        laterality=each.value("ImageLaterality") or each.value("Laterality"),
    )


def scale_of(each: Slice) -> ImageScale | None:
    """Millimetres between pixels by the best of the attributes that say it (PS3.3 10.7.1.3); None where none does."""
    spacing, at_detector = _pair(each.value("PixelSpacing")), _pair(each.value("ImagerPixelSpacing"))
    if spacing:
        return ImageScale(spacing, *_kind_of_pixel_spacing(each, spacing, at_detector))
    if at_detector:
        magnification = _number(each.value("EstimatedRadiographicMagnificationFactor"))
        if magnification >= 1:
            inside = PixelSpacing(
                at_detector.between_rows_mm / magnification, at_detector.between_columns_mm / magnification
            )
            return ImageScale(inside, f"at the detector, divided by a magnification of {magnification:g}", False)
        return ImageScale(at_detector, "at the detector", False)
    scanned = _pair(each.value("NominalScannedPixelSpacing"))
    return ImageScale(scanned, "of the scanned film", False) if scanned else None


def _misplaced_view(each: Slice) -> str:
    """The view where Patient Position says it, as some converters have it: no patient lies "PA" (PS3.3 C.7.3.1.1.2)."""
    position = each.value("PatientPosition").upper()
    return position if position in _VIEWS else ""


def _kind_of_pixel_spacing(each: Slice, spacing: PixelSpacing, at_detector: PixelSpacing | None) -> tuple[str, bool]:
    """Where Pixel Spacing comes from, and whether it was corrected for magnification."""
    calibration = each.value("PixelSpacingCalibrationType").upper()
    if calibration in {"GEOMETRY", "FIDUCIAL"}:
        return f"calibrated by {calibration.lower()}", True
    if at_detector is None:
        return "of unknown origin", False
    if _alike(spacing, at_detector):
        return "at the detector", False
    return "calibrated, it is not said how", True


def _alike(one: PixelSpacing, other: PixelSpacing) -> bool:
    rows = abs(one.between_rows_mm - other.between_rows_mm) <= _SAME * other.between_rows_mm
    return rows and abs(one.between_columns_mm - other.between_columns_mm) <= _SAME * other.between_columns_mm


def _pair(text: str) -> PixelSpacing | None:
    parts = [_number(part) for part in text.split("\\")]
    return PixelSpacing(parts[0], parts[1]) if len(parts) == 2 and min(parts) > 0 else None


def _number(text: str) -> float:
    """The number in a text; 0 where there is none that is finite."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if abs(value) < 1e6 else 0.0


def _whole(text: str) -> int:
    return int(text) if text.isdecimal() else 0
