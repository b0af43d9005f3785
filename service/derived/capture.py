"""Findings as Secondary Captures (PS3.3 A.8.1): pictures for viewers that show neither segmentation nor report."""

import numpy as np
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from service.core.profiles import Kind
from service.derived.companion import begun, burned_in, in_body, referenced
from service.derived.finish import finish
from service.derived.material import Made, Material
from service.derived.montage import sheets
from service.derived.picture import Rgb
from service.derived.sheets import Sheet
from service.derived.sources import tell_of_lossy_compression

DESCRIPTION_LENGTH = 1024  # ST


def build(material: Material, made: Made) -> list[Dataset]:
    """One RGB image for each sheet, all of one Series, the most important first."""
    del made
    return [_capture(material, sheet, number) for number, sheet in enumerate(sheets(material), start=1)]


def _capture(material: Material, sheet: Sheet, number: int) -> Dataset:
    capture = begun(material, Kind.CAPTURE, SecondaryCaptureImageStorage, number)
    capture.ConversionType, capture.ImageType = "WSD", ["DERIVED", "SECONDARY"]
    capture.BurnedInAnnotation = burned_in(material.sources)
    capture.DerivationDescription = f"AI result, not verified, drawn on the images: {sheet.words}"[:DESCRIPTION_LENGTH]
    capture.SourceImageSequence = referenced(material.sources)
    _add_pixels(capture, np.asarray(sheet.image))
    tell_of_lossy_compression(capture, material.sources)
    finished = finish(capture, material.sources[0], material.findings.algorithm, material.origin)
    finished.PatientOrientation = ""  # several planes and a legend lie nowhere in the patient
    return in_body(finished, material.sources[0])


def _add_pixels(capture: Dataset, pixels: Rgb) -> None:
    capture.Rows, capture.Columns, capture.SamplesPerPixel = pixels.shape
    capture.PhotometricInterpretation, capture.PlanarConfiguration = "RGB", 0
    capture.PixelRepresentation = 0
    capture.BitsAllocated, capture.BitsStored, capture.HighBit = 8, 8, 7
    capture.PixelData = pixels.tobytes() + b"\0" * (pixels.size % 2)
