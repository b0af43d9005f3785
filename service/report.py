"""Stage 5: findings, or the reason why there are none, become DICOM objects, each proven from its bytes, in outbox/."""

from pydicom.dataset import Dataset

from models.findings import Findings
from models.measurement import indexed
from models.nifti import encode_labels
from service.core.comparison import compared, volumes
from service.core.errors import Unproven
from service.core.identity import digest
from service.core.jobs import Job
from service.core.outbox import Reference
from service.core.priors import Result
from service.core.profiles import USUAL, Profile
from service.core.refusals import Notice, SayWhyNot
from service.derived import not_analysed
from service.derived.body_size import body_surface_m2
from service.derived.catalogue import proven, shows_image
from service.derived.encoding import decode, encode
from service.derived.findings_json import encode_findings
from service.derived.material import Material
from service.derived.notice_proof import prove_notice_picture, prove_notice_report
from service.derived.origin import Origin
from service.derived.subject import subject_of
from service.edge.file_meta import kept_digest
from service.edge.part10 import read_frame_headers, read_header, read_reference
from service.edge.pixels import read_image
from service.edge.records import (
    keep_plan,
    keep_result,
    path_of,
    read_findings,
    read_following,
    read_part,
    read_stack,
    stack_frames,
)
from service.edge.side_files import keep_side_files, layer_names
from service.edge.spool import Spool
from service.edge.workplaces import Desk


def report(desk: Desk, job: Job) -> None:
    """Leave the job's verified objects in outbox/, with the plan of what goes where.

    Raises Unproven when an object does not say what it should; nothing of the job is then in outbox/.
    """
    spool = Spool(desk.spool)
    plan = _notice(desk, job, job.notice) if job.notice else results(desk, job, read_findings(spool, job.job_id))
    spool.discard(spool.outbox(job.job_id))
    references: dict[str, Reference] = {}
    for sop_instance_uid, encoded in {uid: each for objects in plan.values() for uid, each in objects.items()}.items():
        path = spool.outbox(job.job_id) / f"{sop_instance_uid}.dcm"
        spool.place(path, encoded)
        references[sop_instance_uid] = read_reference(path)
    if desk.with_side_files & set(job.destinations) and not job.notice:
        _leave_side_files(spool, job)
    if not job.notice:
        keep_result(spool, _result(spool, job))
    keep_plan(spool, job.job_id, {name: [references[uid] for uid in objects] for name, objects in plan.items()})


def _result(spool: Spool, job: Job) -> Result:
    """What later studies of the patient are compared with."""
    subject = subject_of(_first_header(spool, job))
    return Result(job.job_id, job.stack_id, subject, job.model, job.version, volumes(read_findings(spool, job.job_id)))


def _since(spool: Spool, job: Job, findings: Findings, source: Dataset) -> Findings:
    """The findings with what has changed since the result that the job is compared with."""
    study_date = subject_of(source).study_date
    return compared(findings, job.prior, job.version, study_date, read_following(spool, job.job_id))


def _first_header(spool: Spool, job: Job) -> Dataset:
    ((path, _), *_) = stack_frames(spool, read_stack(spool, job.stack_id))
    return read_header(path)


def _leave_side_files(spool: Spool, job: Job) -> None:
    findings = _since(spool, job, read_findings(spool, job.job_id), _first_header(spool, job))
    layers = [encode_labels(layer) for layer in findings.layers]
    said = encode_findings(findings, job, read_stack(spool, job.stack_id), layer_names(len(layers)))
    keep_side_files(spool, job.job_id, layers, said)


def results(desk: Desk, job: Job, findings: Findings) -> dict[str, dict[str, bytes]]:
    """By destination, SOP Instance UID -> bytes; what two destinations take alike is made once.

    Raises Unproven as `report`; what fails is held in work/ for a person to look at.
    """
    made: dict[Profile, dict[str, bytes]] = {}
    profile_of = {name: desk.profiles.get(name, USUAL) for name in job.destinations}
    for profile in dict.fromkeys(profile_of.values()):
        made[profile] = _proven_or_held(desk, job, material(desk, job, profile, findings))
    return {name: made[profile] for name, profile in profile_of.items()}


def _proven_or_held(desk: Desk, job: Job, made_of: Material) -> dict[str, bytes]:
    try:
        return proven(made_of)
    except Unproven as error:
        spool = Spool(desk.spool)
        for number, encoded in enumerate(error.objects):
            spool.place(spool.work(job.job_id) / f"unproven-{number}.dcm", encoded)
        raise


def material(desk: Desk, job: Job, profile: Profile, findings: Findings) -> Material:
    """What the objects of a job are made of, for a destination of this profile."""
    spool = Spool(desk.spool)
    stack = read_stack(spool, job.stack_id)
    files = stack_frames(spool, stack)
    image = read_image(files, stack) if shows_image(profile.objects) else None
    digests = {path: kept_digest(path) for path, _ in files}
    origin = Origin(
        job_id=job.job_id,
        made_at=stack.received_at.astimezone(),  # dates and times in DICOM are the site's own
        software_version=desk.software_version,
        configuration_digest=digest((profile.model_dump_json(),)),
        input_digest=digest(f"{frame} {digests[path]}" for path, frame in files),
    )
    sources = read_frame_headers(files)
    said = _since(spool, job, indexed(findings, body_surface_m2(sources)), sources[0])
    return Material(sources, said, origin, profile, image)


def _notice(desk: Desk, job: Job, notice: Notice) -> dict[str, dict[str, bytes]]:
    spool = Spool(desk.spool)
    part = read_part(spool, job.stack_id)
    sources = [read_header(path_of(spool, part, uid)) for uid in part.sop_instance_uids]
    origin = Origin(job.job_id, part.received_at.astimezone(), desk.software_version)
    objects = _notice_objects(sources, job, notice, origin)
    return dict.fromkeys(job.destinations, objects)


def _notice_objects(sources: list[Dataset], job: Job, notice: Notice, origin: Origin) -> dict[str, bytes]:
    said = not_analysed.lines(sources, job, notice, origin)
    objects: dict[str, bytes] = {}
    if notice.say is not SayWhyNot.PICTURE:
        report = not_analysed.build_report(sources, said, notice, origin)
        objects[str(report.SOPInstanceUID)] = encoded = encode(report)
        prove_notice_report(decode(encoded), sources, [line.text for line in said])
    if notice.say is not SayWhyNot.REPORT:
        picture = not_analysed.build_picture(sources, said, notice, origin)
        objects[str(picture.SOPInstanceUID)] = encoded = encode(picture)
        prove_notice_picture(decode(encoded), sources, not_analysed.drawn(said))
    return objects
