"""What one stage leaves for the next comes back as it was."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from models.findings import Findings, HeatMap, Measurement, Region
from models.intake import RadiographFacts
from models.regions import on_planes
from models.sections import Measure
from service.assemble import record_of
from service.core.errors import TryAgain
from service.core.stacking import split
from service.derived.encoding import encode
from service.edge.part10 import read_instance
from service.edge.records import keep_findings, keep_part, read_findings, read_stack
from service.edge.spool import Spool
from tests import factories

ARRAYS = {"layers", "heat_maps"}


def of_a_radiograph() -> Findings:
    return factories.radiograph_findings(factories.dx_image())


def of_a_radiograph_outside_of_the_intake() -> Findings:
    return replace(of_a_radiograph(), remarks=("The age is not known.",))


def of_a_volume() -> Findings:
    grid = factories.grid("oblique")
    tumour = factories.LABELS[0].model_copy(update={"lesions": True, "measure": (Measure.DIAMETERS,)})
    findings = factories.findings(grid, structures=(tumour, *factories.LABELS[1:]))
    measured = (factories.AREA, Measurement(factories.AREA.name, 1e-7, factories.AREA.unit))
    regions: tuple[Region, ...] = tuple(
        replace(region, probability=0.1 + 0.2, location="segment IV", measurements=measured)
        for region in findings.regions
    )
    return replace(
        findings,
        regions=regions,
        layers=(*findings.layers, replace(findings.layers[0], labels=factories.labels(grid)[:, ::-1].copy())),
        heat_maps=(HeatMap(factories.EFFUSION, factories.heat(grid.shape)),),
    )


def of_uneven_planes() -> Findings:
    return on_planes(factories.findings(), (0.0, 1.25, 3.0, 11.0))


@pytest.mark.parametrize(
    "findings",
    [
        of_a_radiograph(),
        of_a_radiograph_outside_of_the_intake(),
        of_a_volume(),
        of_uneven_planes(),
        Findings(factories.ALGORITHM),
    ],
    ids=["radiograph", "remarks", "volume", "uneven planes", "nothing"],
)
def test_findings_come_back_as_they_were_kept(spool: Spool, findings: Findings) -> None:
    keep_findings(spool, "job", findings)
    back = read_findings(spool, "job")
    for field in fields(Findings):
        if field.name not in ARRAYS:
            assert getattr(back, field.name) == getattr(findings, field.name), field.name
    assert [heat_map.term for heat_map in back.heat_maps] == [heat_map.term for heat_map in findings.heat_maps]
    for ours, theirs in zip(findings.heat_maps, back.heat_maps, strict=True):
        assert theirs.values.dtype == np.float32
        assert np.array_equal(theirs.values, ours.values)
    for layer, layer_back in zip(findings.layers, back.layers, strict=True):
        assert layer_back.labels.dtype == np.uint8
        assert np.array_equal(layer_back.labels, layer.labels)
        assert np.array_equal(layer_back.grid.affine, layer.grid.affine)


@pytest.mark.parametrize("name", ["findings.json", "labels.npz"])
def test_half_of_the_findings_are_none(spool: Spool, name: str) -> None:
    keep_findings(spool, "job", of_a_radiograph())
    (spool.work("job") / name).unlink()
    with pytest.raises(TryAgain):
        read_findings(spool, "job")


def test_the_record_of_a_radiograph_comes_back_with_its_facts(spool: Spool, tmp_path: Path) -> None:
    image = factories.dx_image()
    image.PatientAge, image.ViewPosition = "009M", "AP"
    (tmp_path / "image.dcm").write_bytes(encode(image))
    (part,) = split([read_instance(tmp_path / "image.dcm")])
    record = record_of(part, datetime(2026, 1, 1, tzinfo=UTC))
    keep_part(spool, record)
    back = read_stack(spool, part.stack_id)
    assert (back.grid, back.frames, back.modality) == (None, record.frames, "DX")
    assert back.radiograph == RadiographFacts("AP", str(image.BodyPartExamined), 0.75, 48, 40)
