"""Which lesions of a job are those of the result it is compared with: both images, aligned rigidly."""

import numpy as np

from models.alignment import lesions_in_both, motion_between
from models.findings import Findings
from models.sections import Label
from models.volume import Matrix, Volume
from service.core.comparison import structure_key
from service.core.entities import StackRecord
from service.core.errors import IsocenterError, TryAgain
from service.core.jobs import Job
from service.core.priors import Followed, Following, Result
from service.edge.pixels import read_volume
from service.edge.records import read_findings, read_stack, stack_frames
from service.edge.spool import Spool

NEVER_HERE = "the images of the earlier study are not on this node"
LEFT = "the images of the earlier study have left this node"
UNREADABLE = "the images of the earlier study cannot be read any more"
APART = "the images of the two studies could not be aligned"


def follow(spool: Spool, job: Job, findings: Findings) -> Following | None:
    """The lesions of both studies matched by place, or why they are not; None where there is nothing to match.

    Raises as `read_volume` when an image of the job cannot be read.
    """
    result = job.prior.result if job.prior else None
    labels = {structure_key(region.label): region.label for region in findings.regions if region.label.lesions}
    if result is None or not _any_lesion(result, findings, labels):
        return None
    if result.report:
        return Following((), NEVER_HERE)
    try:
        before, image_before = _earlier(spool, result)
    except _Gone as reason:
        return Following((), str(reason))
    motion = motion_between(_image(spool, read_stack(spool, job.stack_id)), image_before)
    if motion is None:
        return Following((), APART)
    return Following(
        tuple(
            Followed(key, pieces.now, pieces.before, pieces.in_both_images)
            for key in labels
            for pieces in lesions_in_both(
                _lesions(findings, key), _lesions(before, key), (findings.grid, before.grid), motion
            )
        )
    )


def _earlier(spool: Spool, result: Result) -> tuple[Findings, Volume]:
    """What the earlier job found, and where. Raises _Gone: what it lacks must not keep this study from its result."""
    try:
        found, stack = read_findings(spool, result.job_id), read_stack(spool, result.stack_id)
    except TryAgain as error:
        raise _Gone(LEFT) from error
    if not all(path.exists() for path, _ in stack_frames(spool, stack)):
        raise _Gone(LEFT)
    try:
        return found, _image(spool, stack)
    except IsocenterError as error:
        raise _Gone(UNREADABLE) from error


class _Gone(Exception):  # noqa: N818
    """The earlier study is not there to be looked at."""


def _any_lesion(result: Result, findings: Findings, labels: dict[str, Label]) -> bool:
    now = any(region.lesion for region in findings.regions)
    return now or any(each.lesion for each in result.volumes if each.structure in labels)


def _image(spool: Spool, stack: StackRecord) -> Volume:
    if stack.grid is None:
        raise TypeError(f"{stack.stack_id} is a radiograph, and those have no lesions in space")
    return read_volume(stack_frames(spool, stack), stack.grid, stack.places)


def _lesions(findings: Findings, key: str) -> dict[int, Matrix]:
    """The voxel centres of each lesion of a structure, (n, 3) in LPS mm, by number."""
    lesions = [region for region in findings.found if region.lesion and structure_key(region.label) == key]
    indices = {region.lesion: np.argwhere(findings.mask(region)) for region in lesions}
    return {lesion: findings.grid.to_world(voxels.astype(np.float64)) for lesion, voxels in indices.items()}
