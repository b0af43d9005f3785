"""What archives are asked, and that only what was meant counts, whatever they answer."""

import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, QueryRetrievePresentationContexts, evt

from models.volume import Grid
from service.commands.archive import AE_TITLE, Orthanc, free_port
from service.core.errors import Broken, TryAgain, Unsuitable
from service.core.outbox import Reference
from service.derived import synthetic
from service.derived.encoding import encode
from service.edge.archive_index import ArchiveIndex, PriorSeries, PriorsWanted, SeriesName
from service.edge.archives import Archive
from service.edge.carriers import DicomPeer
from service.edge.qido import QidoIndex
from service.edge.query import FindIndex
from service.edge.spool import Spool
from service.edge.storage_scu import Remote
from service.edge.web import WebServer
from service.roles.reaching import archives_for
from service.settings import load
from tests import factories
from tests.delivery.scripted import Handler, listing, scripted, status
from tests.node import SENDER, configure

MANY = 130  # more than one page of QIDO-RS
PATIENT = "PHANTOM-PRIORS"
NOW = date(2026, 6, 1)


def remote(port: int, **more: float) -> Remote:
    return Remote("ISOCENTER", AE_TITLE, "127.0.0.1", port, **more)  # type: ignore[arg-type]


def web(pacs: Orthanc) -> WebServer:
    return WebServer(f"http://127.0.0.1:{pacs.http_port}/dicom-web")


@pytest.fixture(params=["C-FIND", "QIDO-RS"])
def index(request: pytest.FixtureRequest, pacs: Orthanc) -> ArchiveIndex:
    """The same archive, asked in both ways."""
    return FindIndex(remote(pacs.port)) if request.param == "C-FIND" else QidoIndex(web(pacs))


@pytest.fixture(scope="module")
def many(pacs: Orthanc) -> list[Reference]:
    """A Series that the archive has."""
    images = factories.ct_series(factories.grid(shape=(MANY, 4, 4)), seed="many")
    for image in images:
        pacs.post("/instances", encode(image))
    return [reference(image) for image in images]


def reference(image: Dataset) -> Reference:
    uids = (image.SOPClassUID, image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID)
    return Reference(*map(str, uids))


def elsewhere(references: Sequence[Reference]) -> list[Reference]:
    """The same objects as if they were of another Series."""
    of_another = factories.ct_series(Grid((1, 4, 4), factories.grid().affine), seed="another")[0]
    study, series = str(of_another.StudyInstanceUID), str(of_another.SeriesInstanceUID)
    return [Reference(each.sop_class_uid, each.sop_instance_uid, study, series) for each in references]


def test_what_is_there_is_held_and_nothing_else_is(index: ArchiveIndex, many: list[Reference]) -> None:
    first = many[0]
    unknown = Reference(first.sop_class_uid, "2.25.404", first.study_instance_uid, first.series_instance_uid)
    assert index.held([*many, unknown]) == {each.sop_instance_uid for each in many}
    assert index.held(elsewhere(many)) == set()
    assert index.held([]) == set()


def test_instances_are_counted(index: ArchiveIndex, many: list[Reference]) -> None:
    assert index.count_instances(SeriesName(many[0].study_instance_uid, many[0].series_instance_uid)) == MANY
    assert index.count_instances(SeriesName("1.2", "1.2.3")) == 0


@pytest.fixture(scope="module")
def history(pacs: Orthanc) -> dict[str, list[Dataset]]:
    """Studies of a patient and of another one; by what they are."""
    made = {
        "last year": study("last year", datetime(2025, 3, 1)),
        "this year": study("this year", datetime(2026, 1, 2)),
        "today": study("today", datetime(2026, 6, 1)),
        "of MR": study("of MR", datetime(2025, 9, 1), modality="MR"),
        "of another": study("of another", datetime(2025, 9, 1), patient_id=f"{PATIENT}-2"),
    }
    for images in made.values():
        for image in images:
            pacs.post("/instances", encode(image))
    return made


def study(seed: str, taken_at: datetime, *, modality: str = "CT", patient_id: str = PATIENT) -> list[Dataset]:
    subject = synthetic.Subject(f"priors {seed}", patient_id=patient_id, taken_at=taken_at)
    make = synthetic.ct_series if modality == "CT" else synthetic.mr_series
    return make(factories.volume(factories.grid(shape=(3, 4, 4))), subject)


def as_prior(images: list[Dataset]) -> PriorSeries:
    first = images[0]
    day = datetime.strptime(str(first.StudyDate), "%Y%m%d").date()
    uids = str(first.StudyInstanceUID), str(first.SeriesInstanceUID)
    return PriorSeries(*uids, str(first.Modality), day, str(first.get("SeriesDescription", "")), len(images))


def test_priors_are_the_earlier_series_of_the_patient_and_modality_newest_first(
    index: ArchiveIndex, history: dict[str, list[Dataset]]
) -> None:
    expected = [as_prior(history["this year"]), as_prior(history["last year"])]
    assert index.priors(PriorsWanted(PATIENT, "CT", NOW)) == expected
    assert index.priors(PriorsWanted(PATIENT, "CT", date(2026, 1, 2))) == expected[1:]
    assert index.priors(PriorsWanted(PATIENT, "MR", NOW)) == [as_prior(history["of MR"])]


@pytest.mark.parametrize("patient_id", ["*", "PHANTOM-PRIOR?", "PHANTOM*", "phantom-priors", "PATIËNT"])
def test_a_patient_id_is_no_pattern(index: ArchiveIndex, history: dict[str, list[Dataset]], patient_id: str) -> None:
    assert index.priors(PriorsWanted(patient_id, "CT", NOW)) == []


def test_a_patient_without_an_id_is_not_looked_for() -> None:
    with pytest.raises(Unsuitable):
        PriorsWanted("", "CT", NOW)


def careless(**changes: str) -> bytes:
    """A study as an archive answers that has looked at none of the keys."""
    written = {
        "0020000D": "1.2.3",
        "00080020": "20250101",
        "00100020": PATIENT,
        "00100021": "HERE",
        "0020000E": "1.2.3.4",
        "00080060": "CT",
    } | {tag.removeprefix("x"): value for tag, value in changes.items()}
    return json.dumps([{tag: {"Value": [value]} for tag, value in written.items()}]).encode()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({}, 1, id="as asked for"),
        pytest.param({"x00100021": ""}, 1, id="no issuer"),
        pytest.param({"x00100021": "THERE"}, 0, id="another issuer"),
        pytest.param({"x00100020": "ANOTHER"}, 0, id="another patient"),
        pytest.param({"x00080020": "20260601"}, 0, id="the same day"),
        pytest.param({"x00080020": ""}, 0, id="no date"),
        pytest.param({"x00080020": "last year"}, 0, id="words for a date"),
        pytest.param({"x0020000D": "../../etc"}, 0, id="no UID of a study"),
        pytest.param({"x0020000E": "1.2/3"}, 0, id="no UID of a Series"),
        pytest.param({"x00080060": "MR"}, 0, id="another modality"),
    ],
)
def test_an_archive_that_ignores_the_keys_brings_no_other_series(changes: dict[str, str], found: int) -> None:
    with scripted(status(200, careless(**changes))) as server:
        priors = QidoIndex(WebServer(server.url)).priors(PriorsWanted(PATIENT, "CT", NOW, issuer="HERE"))
    assert len(priors) == found
    assert "IssuerOfPatientID=HERE" in server.asked[0].path
    assert "StudyDate=-20260531" in server.asked[0].path


def test_no_log_names_the_patient_who_is_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), scripted(status(500)) as server, pytest.raises(TryAgain) as raised:
        QidoIndex(WebServer(server.url)).priors(PriorsWanted(PATIENT, "CT", NOW))
    assert PATIENT in server.asked[0].path
    assert PATIENT not in caplog.text + str(raised.value)


@contextmanager
def finding(*answers: tuple[int, Dataset | None]) -> Iterator[int]:
    """An archive that answers every C-FIND so."""

    def find(_event: Any) -> Iterator[tuple[int, Dataset | None]]:
        yield from answers

    entity = AE(AE_TITLE)
    entity.supported_contexts = QueryRetrievePresentationContexts
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])
    try:
        yield int(server.socket.getsockname()[1])
    finally:
        server.shutdown()


WANTED = Reference("1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.4.5", "1.2.3", "1.2.3.4")


def named(uid: str, keyword: str = "SOPInstanceUID") -> Dataset:
    answer = Dataset()
    setattr(answer, keyword, uid)
    return answer


def test_only_identical_uids_count_as_held() -> None:
    with finding((0xFF00, named("1.2.3.4.50")), (0xFF00, named("1.2.3.4.5", "StudyInstanceUID"))) as port:
        assert FindIndex(remote(port)).held([WANTED]) == set()
    with finding((0xFF00, named("1.2.3.4.50")), (0xFF01, named("1.2.3.4.5"))) as port:
        assert DicomPeer(remote(port)).held([WANTED]) == {"1.2.3.4.5"}


@pytest.mark.parametrize(
    ("code", "kind"), [(0xA900, Unsuitable), (0xC000, Unsuitable), (0x0122, Unsuitable), (0xA700, TryAgain)]
)
def test_a_status_says_whether_it_can_be_asked_again(code: int, kind: type[Exception]) -> None:
    with finding((code, None)) as port, pytest.raises(kind):
        FindIndex(remote(port)).held([WANTED])


def test_a_peer_that_stores_and_cannot_be_queried_says_so() -> None:
    entity = AE(AE_TITLE)
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.66.4")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    try:
        with pytest.raises(Unsuitable, match="accepts nothing of what was offered"):
            FindIndex(remote(server.socket.getsockname()[1])).held([WANTED])
    finally:
        server.shutdown()


def test_an_archive_that_is_not_there_is_asked_again() -> None:
    with pytest.raises(TryAgain, match="not reachable"):
        FindIndex(remote(free_port())).held([WANTED])
    with pytest.raises(TryAgain, match="not reachable"):
        QidoIndex(WebServer(f"http://127.0.0.1:{free_port()}")).count_instances(SeriesName("1.2", "1.2.3"))


def test_an_archive_with_ever_more_pages_is_left_in_time() -> None:
    def page(handler: Handler) -> None:
        time.sleep(0.1)
        listing(f"1.2.{len(handler.scripted.asked)}")(handler)

    with scripted(page) as server, pytest.raises(TryAgain, match="takes too long"):
        QidoIndex(WebServer(server.url), in_all_seconds=1.0).held([WANTED])
    assert len(server.asked) < 20


def test_an_archive_that_does_not_say_how_many_is_broken() -> None:
    with (
        scripted(status(200, b'[{"0020000E": {"vr": "UI", "Value": ["1.2.3"]}}]')) as server,
        pytest.raises(Broken, match="without Number of Series Related Instances"),
    ):
        QidoIndex(WebServer(server.url)).count_instances(SeriesName("1.2", "1.2.3"))


def test_an_archive_behind_a_peer_may_speak_dicomweb(pacs: Orthanc, many: list[Reference], tmp_path: Path) -> None:
    configure(tmp_path, free_port(), [])
    url = f"http://127.0.0.1:{pacs.http_port}/dicom-web/"
    behind = f"{{ae_title: {SENDER}, host: 127.0.0.1, archive: {{kind: dicomweb, url: '{url}'}}}}"
    (tmp_path / "node.yaml").write_text(f"receiving:\n  peers:\n    - {behind}\n")
    settings = load(tmp_path)
    archive: Archive = archives_for(settings, Spool(settings.spool))[SENDER]
    series = SeriesName(many[0].study_instance_uid, many[0].series_instance_uid)
    assert archive.count(series).result(10) == MANY
    with pytest.raises(Broken, match="cannot be retrieved"):
        archive.retrieve(series)
