"""Findings as JSON for people who work with files: the same things that the report says, with codes and UIDs.

Nothing in it names a patient: of the images it holds UIDs alone.
"""

import json
from collections.abc import Sequence
from typing import Any

from models.findings import Algorithm, Box, Change, Findings, HeatMap, Measurement, Point, Prediction, Region, Score
from models.terms import Code, Term
from service.core.entities import StackRecord
from service.core.jobs import Job

FORMAT = 1
Plain = dict[str, Any]


def encode_findings(findings: Findings, job: Job, stack: StackRecord, layer_files: Sequence[str]) -> bytes:
    """The findings of a job on a stack; `layer_files` are the names of their label maps.

    Positions are LPS mm in a volume, and (row, column) pixels in a radiograph.
    """
    algorithm = findings.algorithm
    said = {
        "format": FORMAT,
        "job": job.job_id,
        "model": _model(algorithm) | {"steps": list(map(_model, algorithm.steps))},
        "source": {
            "study_instance_uid": stack.study_instance_uid,
            "series_instance_uid": stack.series_instance_uid,
            "modality": stack.modality,
        },
        "evidence": list(stack.sop_instance_uids),
        "regions": [_region(region, layer_files) for region in findings.regions],
        "scores": list(map(_score, findings.scores)),
        "boxes": list(map(_box, findings.boxes)),
        "points": list(map(_point, findings.points)),
        "heat_maps": list(map(_heat_map, findings.heat_maps)),
        "measurements": list(map(_measurement, findings.measurements)),
        "changes": list(map(_change, findings.changes)),
        "predictions": list(map(_prediction, findings.predictions)),
        "not_compared": findings.not_compared or None,
    }
    return json.dumps(said, indent=1, ensure_ascii=False).encode()


def _model(algorithm: Algorithm) -> Plain:
    return {
        "title": algorithm.name,
        "version": algorithm.version,
        "manufacturer": algorithm.manufacturer,
        "package": algorithm.package,
        "manifest_sha256": algorithm.manifest_sha256,
        "weights_sha256": algorithm.weights_sha256,
    }


def _region(region: Region, layer_files: Sequence[str]) -> Plain:
    return _term(region.label) | {
        "name": region.name,
        "lesion": region.lesion or None,
        "file": layer_files[region.layer],
        "value": region.number,
        "voxels": region.voxels,
        "volume_ml": region.volume_ml,
        "probability": region.probability,
        "location": region.location,
        "measurements": list(map(_measurement, region.measurements)),
    }


def _score(score: Score) -> Plain:
    probability = {"probability": score.probability, "operating_point": score.operating_point}
    return _term(score.term) | probability | {"is_positive": score.is_positive}


def _box(box: Box) -> Plain:
    return _term(box.term) | {
        "low": box.low,
        "high": box.high,
        "probability": box.probability,
        "measurements": list(map(_measurement, box.measurements)),
    }


def _point(point: Point) -> Plain:
    return _term(point.term) | {"at": point.at, "probability": point.probability}


def _heat_map(heat_map: HeatMap) -> Plain:
    return _term(heat_map.term) | {"maximum": float(heat_map.values.max())}


def _change(change: Change) -> Plain:
    return _term(change.term) | {
        "before": _measurement(change.before),
        "after": _measurement(change.after),
        "measured_before_on": change.measured_before_on.isoformat(),
        "earlier_series_uid": change.earlier_series_uid,
        "differences": list(map(_measurement, change.differences)),
        "size": change.size and _code(change.size),
        "remark": change.remark or None,
    }


def _prediction(prediction: Prediction) -> Plain:
    return _term(prediction.term) | {
        "measurement": _measurement(prediction.measurement),
        "weeks": prediction.weeks,
        "after": prediction.after.isoformat(),
        "basis": prediction.basis,
    }


def _measurement(measurement: Measurement) -> Plain:
    return {
        "name": _code(measurement.name),
        "value": measurement.value,
        "unit": _code(measurement.unit),
        "derivation": measurement.derivation and _code(measurement.derivation),
        "uncertainty": measurement.uncertainty,
    }


def _term(term: Term) -> Plain:
    codes = {"category": term.category, "type": term.type, "modifier": term.modifier}
    return {"name": term.name} | {name: code and _code(code) for name, code in codes.items()}


def _code(code: Code) -> Plain:
    return {"value": code.value, "scheme": code.scheme, "meaning": code.meaning}
