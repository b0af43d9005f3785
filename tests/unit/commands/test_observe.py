"""Clinical values by hand and as tables."""

from datetime import date
from pathlib import Path

import pytest

from service.commands.observe import SOURCE, observations_in, observe
from service.core.errors import Broken
from service.core.identity import patient_digest
from service.core.observations import Observation, Quantity, Smoking


def written(folder: Path, *lines: str) -> Path:
    path = folder / "values.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_each_row_of_a_table_is_up_to_two_observations(tmp_path: Path) -> None:
    table = written(tmp_path, "patient_id,date,fvc_ml,smoking", "A,2026-03-01,2315,ex-smoker", "B,2026-03-02,,smokes")
    first, second = patient_digest("A"), patient_digest("B")
    assert list(observations_in(table)) == [
        Observation(first, "", Quantity.FVC, 2315.0, date(2026, 3, 1), SOURCE),
        Observation(first, "", Quantity.SMOKING, Smoking.FORMER, date(2026, 3, 1), SOURCE),
        Observation(second, "", Quantity.SMOKING, Smoking.CURRENT, date(2026, 3, 2), SOURCE),
    ]


def test_an_identifier_may_name_its_issuer(tmp_path: Path) -> None:
    table = written(tmp_path, "patient_id,date,fvc_ml", "A^^^HOSPITAL,2026-03-01,2315", "A,2026-03-01,2400")
    assert [each.patient for each in observations_in(table)] == [patient_digest("A", "HOSPITAL"), patient_digest("A")]
    assert patient_digest("A", "HOSPITAL") != patient_digest("A")


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        pytest.param("A,2026-03-01,2.3 l", "line 2: '2.3 l'", id="not a number"),
        pytest.param("A,March,2315", "line 2: 'March'", id="not a day"),
        pytest.param(",2026-03-01,2315", "line 2: say whose", id="nobody's"),
        pytest.param("A,2026-03-01,", "line 2: say what", id="nothing observed"),
    ],
)
def test_a_wrong_row_is_named_by_its_line(tmp_path: Path, row: str, sentence: str) -> None:
    with pytest.raises(Broken, match=sentence):
        list(observations_in(written(tmp_path, "patient_id,date,fvc_ml", row)))


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="columns"):
        list(observations_in(written(tmp_path, "patient_id,date,fvc", "A,2026-03-01,2315")))


def test_a_table_and_values_by_hand_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="--csv"):
        observe(fvc_ml="2315", table=written(tmp_path, "patient_id,date"))
