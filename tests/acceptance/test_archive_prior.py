"""A node that knows nobody yet, and a PACS that has what another node said a year ago: what the next report says."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
from pydicom import Dataset

from service.commands.archive import AE_TITLE, Orthanc, free_port, orthanc
from service.commands.inspect import event_rows
from service.core.profiles import Kind
from service.core.recalling import unanswered
from service.derived import content_tree
from service.derived.content_tree import ABSENT, VOLUME, Group
from service.derived.encoding import encode
from service.derived.synthetic import Subject, ct_series
from tests import factories
from tests.node import SENDER, Node, all_ended, configure, rule, running, until

OF_DEAD = "CT02"  # a peer whose archive is not there
GRID = factories.grid(shape=(12, 16, 16))
THEN, NOW = datetime(2025, 1, 1, 9), datetime(2026, 1, 1, 9)
LIVER = ("10200004", "SCT")
DIFFERENCE, PERCENT, PER_YEAR = (
    ("VOLDIFF", "99ISOCENTER"),
    ("VOLDIFFPCT", "99ISOCENTER"),
    ("VOLDIFFYEAR", "99ISOCENTER"),
)
ARCHIVE_SECONDS = 45


@dataclass(frozen=True, slots=True)
class Answered:
    """A node that has answered for both patients: its reports by Study Instance UID, and what was there before."""

    node: Node
    reports: dict[str, Dataset]
    earlier: Dataset


def images(seed: str, taken_at: datetime, patient_id: str = "PHANTOM-ABDOMEN") -> list[Dataset]:
    return ct_series(factories.volume(GRID), Subject(seed=seed, patient_id=patient_id, taken_at=taken_at))


NOW_HERE, OF_SOMEBODY = images("now", NOW), images("of somebody", NOW, "PHANTOM-SOMEBODY")


def said_elsewhere() -> Dataset:
    """What the same model said of the patient a year ago, on another node."""
    algorithm = replace(factories.ALGORITHM, name="Tiny", package="tiny")
    origin = replace(factories.ORIGIN, job_id="0123456789abcdef" * 2)
    material = factories.material(
        factories.headers(images("then", THEN)), factories.findings(GRID, algorithm=algorithm), origin
    )
    return factories.objects(material)[Kind.REPORT][0]


@pytest.fixture(scope="module")
def answered(
    tmp_path_factory: pytest.TempPathFactory,
    outside_tool: Callable[[str], str],
    storescu: str,
    packages_folder: Path,
) -> Iterator[Answered]:
    port, folder = free_port(), tmp_path_factory.mktemp("node")
    with orthanc(outside_tool("Orthanc"), tmp_path_factory.mktemp("orthanc"), node_port=port) as pacs:
        earlier = said_elsewhere()
        pacs.post("/instances", encode(earlier))
        dead = {"ae_title": "DEAD", "host": "127.0.0.1", "port": free_port()}
        peers = [peer(SENDER, archive(pacs)), peer(AE_TITLE, archive(pacs)), peer(OF_DEAD, dead)]
        settings = configure(
            folder / "node",
            pacs.port,
            [rule("tiny", modality="CT")],
            receiving={"port": port, "peers": peers},
            inferring={"packages": [str(packages_folder)]},
            comparing={"archive_seconds": ARCHIVE_SECONDS},
        )
        with running(settings) as node:
            send(node, storescu, folder / "now", NOW_HERE, SENDER)
            send(node, storescu, folder / "somebody", OF_SOMEBODY, OF_DEAD)
            until(lambda: all_ended(node, 2), "two ended jobs", seconds=240)
            assert {job["state"] for job in node.jobs()} == {"DELIVERED"}, node.jobs()
            reports = [each for each in pacs.datasets() if each.Modality == "SR"]
            yield Answered(node, {str(each.StudyInstanceUID): each for each in reports}, earlier)


def archive(pacs: Orthanc) -> dict[str, object]:
    return {"ae_title": AE_TITLE, "host": "127.0.0.1", "port": pacs.port}


def peer(ae_title: str, behind: dict[str, object]) -> dict[str, object]:
    return {"ae_title": ae_title, "host": "127.0.0.1", "archive": behind}


def send(node: Node, storescu: str, folder: Path, sent: Sequence[Dataset], calling_ae_title: str) -> None:
    folder.mkdir()
    for number, image in enumerate(sent):
        (folder / f"{number:03d}.dcm").write_bytes(encode(image))
    receiving = node.settings.node.receiving
    line = [storescu, "-aet", calling_ae_title, "-aec", receiving.ae_title, "127.0.0.1", str(receiving.port)]
    subprocess.run([*line, "+sd", str(folder)], check=True, capture_output=True, timeout=120)


def of_liver(report: Dataset, time_point: str | None) -> Group:
    found = content_tree.groups(report)
    (group,) = [each for each in found if (each.finding, each.time_point) == (LIVER, time_point)]
    return group


def value(group: Group, name: content_tree.Term) -> float:
    if group.presence == ABSENT:
        return 0.0
    return next(number.value for number in group.numbers if number.name == name)


def test_the_report_compares_with_what_the_archive_has(answered: Answered) -> None:
    report = answered.reports[str(NOW_HERE[0].StudyInstanceUID)]
    before_ml = value(of_liver(answered.earlier, None), VOLUME)
    after_ml = value(of_liver(report, None), VOLUME)
    earlier, now = of_liver(report, "earlier"), of_liver(report, "now")

    assert earlier.earlier == (THEN.date(), str(images("then", THEN)[0].SeriesInstanceUID))
    assert before_ml > 0
    assert (value(earlier, VOLUME), value(now, VOLUME)) == pytest.approx((before_ml, after_ml), rel=1e-5)
    assert value(now, DIFFERENCE) == pytest.approx(after_ml - before_ml, rel=1e-4)
    assert value(now, PERCENT) == pytest.approx(100 * (after_ml - before_ml) / before_ml, rel=1e-4)
    assert value(now, PER_YEAR) == pytest.approx((after_ml - before_ml) * 365.25 / 365, rel=1e-4)


def test_a_dead_archive_holds_a_job_up_no_longer_than_configured_and_the_report_says_so(answered: Answered) -> None:
    said = content_tree.groups(answered.reports[str(OF_SOMEBODY[0].StudyInstanceUID)])
    series = str(OF_SOMEBODY[0].SeriesInstanceUID)
    closed = event_rows(answered.node.settings, series)[-1]
    (job,) = [each for each in answered.node.jobs() if each["series_instance_uid"] == series]

    assert {group.time_point for group in said} == {None}
    assert [group.comment for group in said if group.finding is None] == [unanswered("DEAD")]
    assert (job["created_at"] - closed["at"]).total_seconds() < ARCHIVE_SECONDS


def test_no_log_names_the_patient_who_was_asked_for(answered: Answered) -> None:
    written = answered.node.log.read_text()
    assert '"archive asked for earlier results"' in written
    assert str(NOW_HERE[0].PatientID) not in written
