"""What a demo says of a Segmentation that came back."""

import numpy as np
import pytest
from rich.console import Console

from models.phantom import Phantom
from models.volume import LabelMap
from service.commands import results
from service.core.entities import FrameReference
from service.core.profiles import Kind
from service.derived.encoding import decode, encode
from tests import factories

LIVER = factories.LABELS[0].model_copy(update={"includes": (2,)})
TUMOUR = factories.LABELS[1].model_copy(update={"name": "Tumour", "lesions": True})


def test_overlapping_structures_and_lesions_come_back_whole(capsys: pytest.CaptureFixture[str]) -> None:
    volume, array = factories.volume(), np.zeros(factories.grid().shape, dtype=np.uint8)
    array[2:9, 4:30, 4:24] = 1
    array[3:5, 6:10, 6:10] = array[6:8, 20:24, 6:10] = 2
    findings = factories.findings(array=array, structures=(LIVER, TUMOUR))
    sources = factories.headers(factories.ct_series())
    made = factories.objects(factories.material(sources, findings))
    planes = {label: np.zeros(array.shape, dtype=np.uint8) for label in (LIVER, TUMOUR)}

    for segmentation in made[Kind.SEGMENTATION]:
        frames = [FrameReference(source.SOPInstanceUID) for source in sources]
        results.draw(decode(encode(segmentation)), findings, frames, planes)
    drawn = {label: voxels > 0 for label, voxels in planes.items()}
    Console(width=100).print(results.volume_table(findings, drawn, Phantom(volume, LabelMap(volume.grid, array))))

    assert np.array_equal(drawn[LIVER], array > 0)
    assert np.array_equal(drawn[TUMOUR], array == 2)
    table = [line.split() for line in capsys.readouterr().out.splitlines() if "Liver" in line or "Tumour" in line]
    assert [" ".join(line).replace("│ ", "").rstrip(" │") for line in table] == [
        "Liver 9.1 ml 9.1 ml 1.000",
        "Tumour (2) 0.2 ml 0.2 ml 1.000",
    ]
