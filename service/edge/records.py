"""What one stage leaves in the spool for the next: stacks as JSON, findings as JSON beside a label map."""

import json
from dataclasses import asdict
from datetime import datetime
from io import BytesIO
from pathlib import Path

import numpy as np

from models.findings import Algorithm, Findings, SegmentVolume
from models.manifest import Label
from models.volume import Grid, LabelMap
from service.core.entities import FrameReference, Reason, StackRecord
from service.core.errors import Broken, TryAgain
from service.core.refusals import RefusalRecord
from service.edge.spool import InstanceName, Spool

Part = StackRecord | RefusalRecord


def keep_stack(spool: Spool, stack: StackRecord) -> None:
    """Leave a stack's record in stacks/."""
    plain = {
        name: getattr(stack, name) for name in StackRecord.__slots__ if name not in {"grid", "received_at", "frames"}
    }
    plain |= {
        "grid": stack.grid and _plain_grid(stack.grid),
        "received_at": stack.received_at.isoformat(),
        "frames": [(frame.sop_instance_uid, frame.number) for frame in stack.frames],
    }
    spool.place(spool.stack(stack.stack_id), json.dumps(plain, indent=1).encode())


def keep_refusal(spool: Spool, refusal: RefusalRecord) -> None:
    """Leave the record of a refusal in stacks/."""
    plain = {name: getattr(refusal, name) for name in RefusalRecord.__slots__} | {
        "received_at": refusal.received_at.isoformat(),
        "frames": [(frame.sop_instance_uid, frame.number) for frame in refusal.frames],
    }
    spool.place(spool.stack(refusal.stack_id), json.dumps(plain, indent=1).encode())


def read_stack(spool: Spool, stack_id: str) -> StackRecord:
    """A stack's record. Raises TryAgain when it is not there: assembling makes it again."""
    part = read_part(spool, stack_id)
    if isinstance(part, RefusalRecord):
        raise Broken(f"stacks/{stack_id}.json is no volume: {part.why}")
    return part


def read_part(spool: Spool, stack_id: str) -> Part:
    """The record of a stack or of a refusal. Raises TryAgain as `read_stack`."""
    try:
        plain = json.loads(spool.stack(stack_id).read_bytes())
        plain |= {
            "received_at": datetime.fromisoformat(plain["received_at"]),
            "frames": tuple(FrameReference(uid, number) for uid, number in plain["frames"]),
        }
        if "reason" in plain:
            return RefusalRecord(**plain | {"reason": Reason(plain["reason"])})
        grid = plain["grid"] and _grid(plain["grid"])
        return StackRecord(**plain | {"grid": grid, "places": tuple(plain["places"])})
    except (OSError, KeyError, TypeError, ValueError) as error:
        words = f"stacks/{stack_id}.json is gone or not ours ({type(error).__name__})"
        raise TryAgain(f"{words}; it is made again from incoming/") from error


def stack_frames(spool: Spool, stack: StackRecord) -> list[tuple[Path, FrameReference]]:
    """The frames of a stack with the files they are in, in its order."""
    return [(path_of(spool, stack, frame.sop_instance_uid), frame) for frame in stack.frames]


def path_of(spool: Spool, part: Part, sop_instance_uid: str) -> Path:
    """The file of one of the part's instances."""
    return spool.incoming(InstanceName(part.series_instance_uid, sop_instance_uid))


def keep_findings(spool: Spool, job_id: str, findings: Findings) -> None:
    """Leave a job's findings in work/; the JSON comes last, and with it they count as there."""
    packed = BytesIO()
    np.savez_compressed(packed, labels=findings.label_map.labels)
    plain = {
        "algorithm": asdict(findings.algorithm),
        "grid": _plain_grid(findings.label_map.grid),
        "volumes": [
            {"label": volume.label.model_dump(mode="json"), "voxels": volume.voxels, "volume_ml": volume.volume_ml}
            for volume in findings.volumes
        ],
        "places": findings.places,
    }
    folder = spool.work(job_id)
    spool.place(folder / "labels.npz", packed.getvalue())
    spool.place(folder / "findings.json", json.dumps(plain, indent=1).encode())


def read_findings(spool: Spool, job_id: str) -> Findings:
    """A job's findings. Raises TryAgain when they are not there."""
    folder = spool.work(job_id)
    try:
        plain = json.loads((folder / "findings.json").read_bytes())
        with np.load(folder / "labels.npz", allow_pickle=False) as packed:
            labels = packed["labels"]
    except FileNotFoundError as error:
        raise TryAgain(f"work/{job_id} is incomplete; requeue the job") from error
    volumes = tuple(
        SegmentVolume(Label.model_validate(entry["label"]), entry["voxels"], entry["volume_ml"])
        for entry in plain["volumes"]
    )
    return Findings(
        Algorithm(**plain["algorithm"]), LabelMap(_grid(plain["grid"]), labels), volumes, tuple(plain.get("places", ()))
    )


def _plain_grid(grid: Grid) -> dict[str, object]:
    return {"shape": grid.shape, "affine": grid.affine.tolist()}


def _grid(plain: dict[str, list[int]]) -> Grid:
    slices, rows, columns = plain["shape"]
    return Grid((slices, rows, columns), np.array(plain["affine"]))
