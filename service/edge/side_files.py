"""What folders of ours get beside the DICOM objects of a job: label maps and findings, in outbox/ with the objects."""

from collections.abc import Sequence
from pathlib import Path

from service.edge.spool import Spool

_FINDINGS = "findings.json"
_LABELS = "labels*.nii.gz"


def layer_names(count: int) -> list[str]:
    """The file of each label map of a job: structures that overlap lie in different ones."""
    return [_LABELS.replace("*", f"-{number}" if number > 1 else "") for number in range(1, count + 1)]


def keep_side_files(spool: Spool, job_id: str, layers: Sequence[bytes], findings: bytes) -> None:
    """Leave label maps, in the order of their names, and findings in outbox/. Raises as `Spool.place`."""
    files = dict(zip(layer_names(len(layers)), layers, strict=True)) | {_FINDINGS: findings}
    for name, content in files.items():
        spool.place(spool.outbox(job_id) / name, content)


def side_files(folder: Path) -> list[Path]:
    """Those in a job's folder of outbox/; none where nobody wanted them."""
    return sorted([*folder.glob(_LABELS), *folder.glob(_FINDINGS)])
