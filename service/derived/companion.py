"""What the objects beside segmentation and report share: how they begin, and how they refer to their images."""

from collections.abc import Mapping, Sequence

from pydicom import Dataset

from service.core.entities import FrameReference
from service.core.profiles import Kind
from service.derived.finish import SERIES_NUMBERS
from service.derived.material import Material
from service.derived.sources import add_empty_identity, reference

MODALITIES: Mapping[Kind, str] = {
    Kind.CAPTURE: "OT",
    Kind.PRESENTATION: "PR",
    Kind.DOCUMENT: "DOC",
    Kind.KEY_IMAGES: "KO",
}


def begun(material: Material, kind: Kind, sop_class_uid: str, number: int = 1) -> Dataset:
    """The object with its names and the Type 2 attributes of patient and study, before `finish` completes it."""
    modality = MODALITIES[kind]
    dataset = Dataset()
    add_empty_identity(dataset)
    dataset.SOPClassUID, dataset.Modality = sop_class_uid, modality
    dataset.SOPInstanceUID = material.object_uid(modality, *([str(number)] if number > 1 else []))
    dataset.SeriesInstanceUID = material.series_uid(modality)
    dataset.SeriesNumber, dataset.InstanceNumber = SERIES_NUMBERS[modality], number
    return dataset


def in_body(dataset: Dataset, source: Dataset) -> Dataset:
    """The object with the body part of its image; Laterality is there or empty where none is named (C.7.3.1)."""
    for keyword in ("BodyPartExamined", "Laterality"):
        if source.get(keyword):
            setattr(dataset, keyword, source[keyword].value)
    if not dataset.get("BodyPartExamined") and not dataset.get("Laterality"):
        dataset.Laterality = ""
    return dataset


def burned_in(sources: Sequence[Dataset]) -> str:
    """Burned In Annotation: whether text in the pixels identifies the patient (PS3.3 C.7.6.1.1, C.24.2).

    What this node writes into pictures names an algorithm, never a patient. What the images themselves carry in their
    pixels is still there.
    """
    return "YES" if any(source.get("BurnedInAnnotation") == "YES" for source in sources) else "NO"


def referenced(sources: Sequence[Dataset]) -> list[Dataset]:
    """One item for each instance (PS3.3 10.3), with the numbers of its frames where sources are frames."""
    items: dict[str, Dataset] = {}
    for source in sources:
        frame = reference(source)
        item = items.setdefault(frame.sop_instance_uid, _item(source))
        if frame.number is not None:
            item.ReferencedFrameNumber = [*_numbers(item), frame.number]
    return list(items.values())


def evidence(sources: Sequence[Dataset]) -> Dataset:
    """The item of an evidence sequence for sources of one Series (PS3.3 C.17.2.1): instances, no frames."""
    study, series = Dataset(), Dataset()
    series.SeriesInstanceUID = sources[0].SeriesInstanceUID
    series.ReferencedSOPSequence = list({str(source.SOPInstanceUID): _item(source) for source in sources}.values())
    study.StudyInstanceUID, study.ReferencedSeriesSequence = sources[0].StudyInstanceUID, [series]
    return study


def references(items: Sequence[Dataset]) -> list[FrameReference]:
    """The images, or frames where numbers are given, that the items of a sequence refer to."""
    found = []
    for item in items:
        uid, numbers = str(item.ReferencedSOPInstanceUID), _numbers(item)
        found += [FrameReference(uid, number) for number in numbers] if numbers else [FrameReference(uid)]
    return found


def _item(source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item


def _numbers(item: Dataset) -> list[int]:
    element = item.get("ReferencedFrameNumber")
    if element is None:
        return []
    return [int(element)] if isinstance(element, (int, str)) else [int(number) for number in element]
