"""A notice on its way: nothing is inferred for it, and whenever it is made again it is the same."""

from datetime import UTC, datetime

import pytest

from service.core.entities import FrameReference, Reason
from service.core.jobs import Job, State
from service.core.refusals import Notice, RefusalRecord, SayWhyNot
from service.derived.encoding import decode
from service.edge.records import keep_part
from service.edge.spool import Spool
from service.edge.workplaces import Bench, Desk
from service.infer import infer
from service.report import report
from tests import factories
from tests.arriving import receive

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def notice_in(spool: Spool, say: SayWhyNot = SayWhyNot.BOTH) -> Job:
    """The notice of a series with a hole that lies in the spool."""
    images = factories.ct_series(missing=[5])
    for image in images:
        assert receive(spool, image).status == 0x0000
    frames = tuple(FrameReference(str(image.SOPInstanceUID)) for image in images)
    uids = (str(images[0].SeriesInstanceUID), str(images[0].StudyInstanceUID))
    keep_part(spool, RefusalRecord("stack", *uids, frames, Reason.HOLE, "1 missing", NOW))
    notice = Notice("Liver", "hole: 1 missing", "send it again", say)
    return Job("job", "stack", *uids, "liver", "1.0.0", "rule", ("pacs",), State.REPORTING, 0, NOW, notice)


def desk(spool: Spool) -> Desk:
    return Desk(spool.root, {}, "0.1.0")


def outbox(spool: Spool) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in spool.outbox("job").glob("*.dcm")}


@pytest.mark.parametrize(
    ("say", "modalities"),
    [
        pytest.param(SayWhyNot.REPORT, ["SR"], id="report"),
        pytest.param(SayWhyNot.PICTURE, ["OT"], id="picture"),
        pytest.param(SayWhyNot.BOTH, ["OT", "SR"], id="both"),
    ],
)
def test_what_the_rule_asks_for_lies_in_the_outbox(spool: Spool, say: SayWhyNot, modalities: list[str]) -> None:
    report(desk(spool), notice_in(spool, say))
    assert sorted(decode(encoded).Modality for encoded in outbox(spool).values()) == modalities


def test_a_notice_that_is_made_again_has_the_same_names_and_bytes(spool: Spool) -> None:
    job = notice_in(spool)
    report(desk(spool), job)
    once = outbox(spool)
    report(desk(spool), job)
    assert outbox(spool) == once


def test_a_requeued_notice_runs_no_model(spool: Spool) -> None:
    bench = Bench(spool.root, (), "cpu")
    infer(bench, notice_in(spool))
    assert not spool.work("job").exists()
