"""What one stage leaves in the spool for the next: stacks as JSON, findings as JSON beside a label map."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from models.findings import Algorithm, Box, Change, Findings, HeatMap, Measurement, Point, Prediction, Region, Score
from models.intake import RadiographFacts
from models.terms import Term
from models.volume import Grid, LabelMap
from service.core.entities import FrameReference, Reason, StackRecord
from service.core.errors import Broken, TryAgain
from service.core.outbox import Reference
from service.core.priors import Following, Result
from service.core.refusals import RefusalRecord
from service.edge.spool import InstanceName, Spool

Part = StackRecord | RefusalRecord
_PLAN = "plan.json"
_RESULT = "result.json"
_RESULTS = TypeAdapter(Result)
_FOLLOWING = "following.json"
_FOLLOWINGS = TypeAdapter(Following)


def keep_part(spool: Spool, part: Part) -> None:
    """Leave the record of a stack, or of a refusal, in stacks/."""
    plain = {name: getattr(part, name) for name in part.__slots__} | {
        "received_at": part.received_at.isoformat(),
        "frames": [(frame.sop_instance_uid, frame.number) for frame in part.frames],
    }
    if isinstance(part, StackRecord):
        plain["grid"] = part.grid and _plain_grid(part.grid)
        plain["radiograph"] = part.radiograph and asdict(part.radiograph)
    spool.place(spool.stack(part.stack_id), json.dumps(plain, indent=1).encode())


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
        facts = plain["radiograph"] and RadiographFacts(**plain["radiograph"])
        lists = {name: tuple(plain.get(name, ())) for name in ("places", "body_parts")}
        return StackRecord(**plain | lists | {"grid": grid, "radiograph": facts})
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
    arrays: dict[str, NDArray[np.generic]] = {f"layer {n}": layer.labels for n, layer in enumerate(findings.layers)}
    arrays |= {f"heat map {n}": heat_map.values for n, heat_map in enumerate(findings.heat_maps)}
    packed = BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    plain: dict[str, object] = {
        "grid": _plain_grid(findings.grid) if findings.layers else None,
        "layers": len(findings.layers),
        "heat_maps": [heat_map.term.model_dump(mode="json") for heat_map in findings.heat_maps],
    }
    plain |= {name: kind.dump_python(getattr(findings, name), mode="json") for name, kind in _PLAIN_FINDINGS.items()}
    folder = spool.work(job_id)
    spool.place(folder / "labels.npz", packed.getvalue())
    spool.place(folder / "findings.json", json.dumps(plain, indent=1).encode())


def read_findings(spool: Spool, job_id: str) -> Findings:
    """A job's findings. Raises TryAgain when they are not there, or are those of another version of this program."""
    folder = spool.work(job_id)
    try:
        plain = json.loads((folder / "findings.json").read_bytes())
        with np.load(folder / "labels.npz", allow_pickle=False) as packed:
            layers = tuple(LabelMap(_grid(plain["grid"]), packed[f"layer {n}"]) for n in range(plain["layers"]))
            heat_maps = tuple(
                HeatMap(Term.model_validate(term), packed[f"heat map {n}"]) for n, term in enumerate(plain["heat_maps"])
            )
        simple = {name: kind.validate_python(plain[name]) for name, kind in _PLAIN_FINDINGS.items()}
    except (FileNotFoundError, KeyError, ValueError) as error:
        raise TryAgain(f"work/{job_id} is incomplete or not ours; requeue the job") from error
    return Findings(layers=layers, heat_maps=heat_maps, **simple)


def keep_plan(spool: Spool, job_id: str, plan: Mapping[str, Sequence[Reference]]) -> None:
    """Leave which object goes to which destination, and in which order, beside the objects of a job."""
    plain = {destination: [asdict(reference) for reference in objects] for destination, objects in plan.items()}
    spool.place(spool.outbox(job_id) / _PLAN, json.dumps(plain, indent=1).encode())


def read_plan(spool: Spool, job_id: str) -> dict[str, list[Reference]]:
    """The objects by destination, in the order of sending. Raises TryAgain when it is not there."""
    try:
        plain = json.loads((spool.outbox(job_id) / _PLAN).read_bytes())
        return {name: [Reference(**reference) for reference in objects] for name, objects in plain.items()}
    except (OSError, ValueError, TypeError) as error:
        raise TryAgain(f"outbox/{job_id} is incomplete; requeue the job") from error


def keep_result(spool: Spool, result: Result) -> None:
    """Leave what a job measured beside its objects, for the ledger to take in."""
    spool.place(spool.outbox(result.job_id) / _RESULT, _RESULTS.dump_json(result, indent=1))


def read_result(spool: Spool, job_id: str) -> Result | None:
    """What a job measured; None where there is nothing that later studies could be compared with: it is a notice."""
    try:
        return _RESULTS.validate_json((spool.outbox(job_id) / _RESULT).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TryAgain(f"outbox/{job_id} is incomplete; requeue the job") from error


def keep_following(spool: Spool, job_id: str, following: Following) -> None:
    """Leave which lesions of a job are those of its prior, in work/."""
    spool.place(spool.work(job_id) / _FOLLOWING, _FOLLOWINGS.dump_json(following, indent=1))


def read_following(spool: Spool, job_id: str) -> Following | None:
    """Which lesions of a job are those of its prior; None where there was nothing to match."""
    try:
        return _FOLLOWINGS.validate_json((spool.work(job_id) / _FOLLOWING).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise TryAgain(f"work/{job_id} is incomplete or not ours; requeue the job") from error


_PLAIN_FINDINGS: dict[str, TypeAdapter[Any]] = {  # what JSON holds; arrays lie beside it
    "algorithm": TypeAdapter(Algorithm),
    "regions": TypeAdapter(tuple[Region, ...]),
    "scores": TypeAdapter(tuple[Score, ...]),
    "boxes": TypeAdapter(tuple[Box, ...]),
    "points": TypeAdapter(tuple[Point, ...]),
    "measurements": TypeAdapter(tuple[Measurement, ...]),
    "changes": TypeAdapter(tuple[Change, ...]),
    "predictions": TypeAdapter(tuple[Prediction, ...]),
    "not_compared": TypeAdapter(str),
    "places": TypeAdapter(tuple[float, ...]),
    "remarks": TypeAdapter(tuple[str, ...]),
}


def _plain_grid(grid: Grid) -> dict[str, object]:
    return {"shape": grid.shape, "affine": grid.affine.tolist()}


def _grid(plain: dict[str, list[int]]) -> Grid:
    slices, rows, columns = plain["shape"]
    return Grid((slices, rows, columns), np.array(plain["affine"]))
