"""A report of ours in a real archive, brought here by C-GET, where the archive does not know us."""

from dataclasses import replace
from pathlib import Path

from service.commands.archive import AE_TITLE, Orthanc, free_port
from service.core.profiles import Kind
from service.derived.earlier_report import result_of
from service.derived.encoding import encode
from service.derived.subject import question_of
from service.edge.spool import Spool
from service.recall import Found, look
from service.roles.reaching import archives_for
from tests import factories
from tests.node import SENDER, configure


def test_a_report_comes_by_c_get_and_is_read(pacs: Orthanc, tmp_path: Path) -> None:
    images = factories.headers(factories.ct_series(seed="recalled then"))
    for image in images:
        image.PatientID, image.StudyDate = "PHANTOM-RECALLED", "20250101"
    origin = replace(factories.ORIGIN, job_id="0123456789abcdef" * 2)
    report = factories.objects(factories.material(images, origin=origin))[Kind.REPORT][0]
    pacs.post("/instances", encode(report))
    behind = {"ae_title": AE_TITLE, "host": "127.0.0.1", "port": pacs.port, "retrieve": "get"}
    peer = {"ae_title": SENDER, "host": "127.0.0.1", "archive": behind}
    settings = configure(tmp_path / "node", free_port(), [], receiving={"peers": [peer]})
    spool = Spool(settings.spool)
    recalling = archives_for(settings, spool)[SENDER].calls.recalling
    now = factories.headers(factories.ct_series(seed="recalled now"))[0]
    now.PatientID = "PHANTOM-RECALLED"

    assert recalling is not None
    assert look(recalling, spool, question_of(now, "abdomen", "abdomen", frozenset())) == Found((result_of(report),))
