"""A report of this software read back: what its job measured, as later studies look back on it.

It is read to the letter. What does not name its job, model and source as our reports do is none of ours, and one that
contradicts itself is damaged: neither is guessed at.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, EnhancedSRStorage

from service.core.entities import Instance
from service.core.errors import Broken, IsocenterError, Unsuitable
from service.core.identity import algorithm_uid, is_uid
from service.core.priors import CUBIC_CENTIMETRES, MeasuredVolume, Result, Subject, key_of_codes
from service.derived import content_tree
from service.derived.content_tree import ABSENT, CUBIC_CENTIMETRE, TITLE, VOLUME, Group, Number
from service.derived.subject import subject_of

SOP_CLASS_UIDS = (str(Comprehensive3DSRStorage), str(EnhancedSRStorage))

_OURS = "Isocenter"
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")  # Segmentation, Label Map
_PROVENANCE = re.compile(
    r"package (?P<package>\S+) (?P<version>\S+); weights sha256 (?P<weights>[0-9a-f]{64}); .*job (?P<job>[0-9a-f]{32})"
)


def may_hold_result(instance: Instance) -> bool:
    """True for a report by this software."""
    return instance.sop_class_uid in SOP_CLASS_UIDS and instance.value("ManufacturerModelName") == _OURS


def result_of(report: Dataset) -> Result:
    """What the job behind a report measured; the Series is that of the images, of which no description is known.

    Raises Unsuitable when it is no report of volumes by this software, Broken when it is damaged or contradicts itself.
    """
    if not _is_ours(report):
        raise Unsuitable("it is no measurement report of this software")
    try:
        return _result(report)
    except IsocenterError:
        raise
    except Exception as error:  # pydicom raises anything on damaged content, and quotes values
        raise Broken(f"its content cannot be read ({type(error).__name__})") from error


def _is_ours(report: Dataset) -> bool:
    made_by = {report.get("Manufacturer"), report.get("ManufacturerModelName")}
    return (
        str(report.get("SOPClassUID")) in SOP_CLASS_UIDS and made_by == {_OURS} and content_tree.term(report) == TITLE
    )


def _result(report: Dataset) -> Result:
    if report.get("CompletionFlag") != "COMPLETE":
        raise Broken("it is not complete")
    groups = content_tree.groups(report)
    provenance = _provenance(report, groups)
    measured = tuple(_volumes(groups))
    if not measured:
        raise Unsuitable("it measures no volume")
    return Result(
        job_id=provenance["job"],
        stack_id="",
        subject=_subject(report),
        model=provenance["package"],
        version=provenance["version"],
        volumes=measured,
        report=str(report.SOPInstanceUID),
    )


def _provenance(report: Dataset, groups: Sequence[Group]) -> dict[str, str]:
    """Package, version, weights and job: where the equipment and the content name one and the same algorithm."""
    for device in report.get("ContributingEquipmentSequence", []):
        written = _PROVENANCE.fullmatch(str(device.get("ContributionDescription", "")))
        if written is None:
            continue
        name, version = str(device.ManufacturerModelName), str(device.SoftwareVersions)
        uid = algorithm_uid(name, version, written["weights"])
        speakers = {group.algorithm for group in groups if group.algorithm}
        if written["version"] != version or str(device.DeviceUID) != uid or speakers != {(name, version)}:
            raise Broken("it names different algorithms")
        return written.groupdict()
    raise Broken("it does not name its job")


def _subject(report: Dataset) -> Subject:
    """Whom the images show that the report is of; the report itself is a Series of its own."""
    of_report = subject_of(report)
    sources = {
        (str(study.StudyInstanceUID), str(series.SeriesInstanceUID))
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        if any(str(each.ReferencedSOPClassUID) not in _SEGMENTATIONS for each in series.ReferencedSOPSequence)
    }
    if len(sources) != 1:
        raise Broken(f"it is of {len(sources)} series of images, not of one")
    ((study_instance_uid, series_instance_uid),) = sources
    if study_instance_uid != of_report.study_instance_uid or not is_uid(series_instance_uid):
        raise Broken("it is not in the study of its images")
    return Subject(
        of_report.patient,
        of_report.identity,
        of_report.study_date,
        study_instance_uid,
        series_instance_uid,
        description="",
    )


def _volumes(groups: Sequence[Group]) -> Iterator[MeasuredVolume]:
    """Each structure that was looked for; where it has several pieces, they are its lesions in their order."""
    structures = [group for group in groups if _is_of_structure(group)]
    pieces = Counter(map(_key, structures))
    seen: Counter[str] = Counter()
    for group in structures:
        key = _key(group)
        seen[key] += 1
        is_lesion = pieces[key] > 1 or (group.tracking_id or "").endswith(" 1")
        measured = _volume(group)
        if measured is None:
            yield MeasuredVolume(key, 0, 0.0, CUBIC_CENTIMETRES)
            continue
        unit = CUBIC_CENTIMETRES if measured.unit == CUBIC_CENTIMETRE else str(measured.unit)
        yield MeasuredVolume(key, seen[key] if is_lesion else 0, measured.value, unit)


def _is_of_structure(group: Group) -> bool:
    """True for what was segmented, or looked for in vain: no score, box, point, change or prediction."""
    if group.finding is None or group.time_point is not None or group.surfaces:
        return False
    is_absent = group.presence == ABSENT and not group.numbers and not group.parameter
    return is_absent or (group.key_image is not None and _volume(group) is not None)


def _key(group: Group) -> str:
    modifier = group.site[1] if group.site else None
    return key_of_codes([code for code in (group.finding, modifier) if code])


def _volume(group: Group) -> Number | None:
    """Raises Broken where a group has two, or one that no structure can have."""
    found = [number for number in group.numbers if number.name == VOLUME]
    if len(found) > 1 or any(not math.isfinite(each.value) or each.value < 0 for each in found):
        raise Broken("a structure has no single volume")
    return found[0] if found else None
