"""Instances as the core sees them: planes at given heights, with given attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from service.core.entities import Frame, Instance, Orientation, PixelSpacing, Plane, Slice, whole

AXIAL = Orientation((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
CORONAL = Orientation((1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
SAGITTAL = Orientation((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))


def instance(
    number: int,
    height_mm: float,
    orientation: Orientation = AXIAL,
    shift_mm: tuple[float, float] = (0.0, 0.0),
    attributes: Mapping[str, str] | None = None,
) -> Instance:
    """One instance whose plane lies at a height along its normal, shifted along its row and its column."""
    row, column = np.array(orientation.row), np.array(orientation.column)
    position = np.cross(row, column) * height_mm + row * shift_mm[0] + column * shift_mm[1]
    return Instance(
        sop_instance_uid=f"1.2.3.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        series_instance_uid="1.2.3",
        study_instance_uid="1.2",
        patient="a",
        frame_of_reference_uid="1.2.9",
        frames=(Frame(1, _plane(position, orientation), {}),),
        multi_frame=False,
        association="1.2.7",
        calling_ae_title="CT01",
        phantom=False,
        pixels_missing=False,
        lossy=False,
        attributes={"Modality": "CT", "ImageType": "ORIGINAL\\PRIMARY\\AXIAL", **(attributes or {})},
    )


def _plane(position_mm: NDArray[np.float64], orientation: Orientation) -> Plane:
    x, y, z = (float(mm) for mm in position_mm)
    return Plane((x, y, z), orientation, PixelSpacing(0.5, 2.0), 8, 6)


def series(heights_mm: Sequence[float], orientation: Orientation = AXIAL) -> list[Instance]:
    """One instance for each height."""
    return [instance(number, height, orientation) for number, height in enumerate(heights_mm, start=1)]


def with_attributes(instances: Sequence[Instance], **attributes: str) -> list[Instance]:
    """The instances with more attributes."""
    return [replace(each, attributes={**each.attributes, **attributes}) for each in instances]


def slices(instances: Sequence[Instance]) -> list[Slice]:
    """All frames of the instances."""
    return [each for instance in instances for each in whole(instance)]
