"""Stage 5: findings, or the reason why there are none, become DICOM objects, each proven from its bytes, in outbox/."""

from pathlib import Path

from pydicom.dataset import Dataset

from models.findings import Findings
from service.core.jobs import Job
from service.core.refusals import Notice, SayWhyNot
from service.derived import measurement_report, not_analysed, segmentation
from service.derived.encoding import encode
from service.derived.origin import Origin
from service.derived.proof import prove_notice_picture, prove_notice_report, prove_report, prove_segmentation
from service.edge.part10 import read_frame_headers, read_header
from service.edge.records import Part, path_of, read_findings, read_part, read_stack, stack_frames
from service.edge.spool import Spool


def report(spool_root: Path, software_version: str, job: Job) -> None:
    """Leave the job's verified objects in outbox/, the report last: it refers to the segmentation.

    Raises Unproven when an object does not say what it should; nothing of the job is then in outbox/.
    """
    spool = Spool(spool_root)
    if job.notice:
        objects = _notice(spool, software_version, job, job.notice)
    else:
        objects = _results(spool, software_version, job)
    spool.discard(spool.outbox(job.job_id))
    for sop_instance_uid, encoded in objects.items():
        spool.place(spool.outbox(job.job_id) / f"{sop_instance_uid}.dcm", encoded)


def _results(spool: Spool, software_version: str, job: Job) -> dict[str, bytes]:
    stack = read_stack(spool, job.stack_id)
    findings = read_findings(spool, job.job_id)
    sources = read_frame_headers(stack_frames(spool, stack))
    return _proven(sources, findings, _origin(job, stack, software_version))


def _notice(spool: Spool, software_version: str, job: Job, notice: Notice) -> dict[str, bytes]:
    part = read_part(spool, job.stack_id)
    sources = [read_header(path_of(spool, part, uid)) for uid in part.sop_instance_uids]
    origin = _origin(job, part, software_version)
    said = not_analysed.lines(sources, job, notice, origin)
    objects: dict[str, bytes] = {}
    if notice.say is not SayWhyNot.PICTURE:
        report = not_analysed.build_report(sources, said, notice, origin)
        objects[str(report.SOPInstanceUID)] = encoded = encode(report)
        prove_notice_report(encoded, sources, [line.text for line in said])
    if notice.say is not SayWhyNot.REPORT:
        picture = not_analysed.build_picture(sources, said, notice, origin)
        objects[str(picture.SOPInstanceUID)] = encoded = encode(picture)
        prove_notice_picture(encoded, sources, not_analysed.drawn(said))
    return objects


def _origin(job: Job, part: Part, software_version: str) -> Origin:
    local = part.received_at.astimezone()  # dates and times in DICOM are the site's own
    return Origin(job.job_id, local, software_version)


def _proven(sources: list[Dataset], findings: Findings, origin: Origin) -> dict[str, bytes]:
    """SOP Instance UID -> bytes of every object, none of them before all are proven."""
    found = segmentation.build(sources, findings, origin)
    measured = measurement_report.build(sources, findings, found, origin)
    objects: dict[str, bytes] = {}
    encoded_segmentation = None
    if found is not None:
        encoded_segmentation = encode(found)
        prove_segmentation(encoded_segmentation, sources, findings)
        objects[str(found.SOPInstanceUID)] = encoded_segmentation
    encoded_report = encode(measured)
    prove_report(encoded_report, encoded_segmentation, sources, findings)
    return objects | {str(measured.SOPInstanceUID): encoded_report}
