"""What becomes of a delivery, and what people see and do of it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from service.commands.archive import free_port
from service.core.circuit import CLOSED
from service.core.errors import Broken
from service.core.jobs import State
from service.core.outbox import Trouble
from service.edge.intake import InMemory
from service.edge.ledger import Ledger
from service.edge.listening import listening
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.edge.tables import jobs
from tests.delivery.stage import (
    CANCELLED,
    DEAD,
    DELIVERED,
    NOW,
    PARKED,
    WAITS,
    Clock,
    endings,
    pacs,
    seen,
    sender,
)
from tests.node import run_command


def test_every_object_reaches_every_destination_and_the_job_is_delivered(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    with pacs(0x0000) as (port, received), pacs(0xB000) as (other, _):
        sender(ledger, spool, clock, port).tick()
        assert ledger.rows(jobs)[0]["state"] == State.REPORTED
        sender(ledger, spool, clock, other, "other").tick()
    assert endings(ledger) + endings(ledger, "other") == [DELIVERED] * 4
    assert ledger.rows(jobs)[0]["state"] == State.DELIVERED
    assert len(set(received)) == len(received) == 2


def test_an_object_whose_file_is_gone_is_dead_and_holds_up_no_other(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    next(spool.outbox("job").iterdir()).unlink()
    with pacs(0x0000) as (port, received):
        sender(ledger, spool, clock, port).tick()
    assert sorted(endings(ledger)) == [DEAD, DELIVERED]
    assert len(received) == 1
    assert any("requeue the job" in words for words in seen(ledger))


def test_a_pacs_that_takes_implicit_little_endian_alone_gets_its_objects(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2")
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)])
    sender(ledger, spool, clock, server.server_address[1]).tick()
    server.shutdown()
    assert endings(ledger) == [DELIVERED] * 2


def test_nothing_is_sent_again_before_its_back_off_has_passed(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    with pacs(0xA700) as (port, received):
        for seconds in (0, 4, 2, 20):
            clock.moment += timedelta(seconds=seconds)
            sender(ledger, spool, clock, port).tick()
    assert len(received) == 2


def test_a_destination_that_is_down_keeps_its_objects_and_names_itself(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    port = free_port()
    sender(ledger, spool, clock, port).tick()
    assert endings(ledger) == [WAITS] * 2
    assert seen(ledger) == {f"PACS at 127.0.0.1:{port} is not reachable: Connection refused"}
    assert endings(ledger, "other") == [WAITS] * 2


def test_a_sop_class_that_is_not_accepted_is_parked_at_once_and_says_so(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:

    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0x0000)])
    sender(ledger, spool, clock, server.server_address[1]).tick()
    server.shutdown()
    assert endings(ledger) == [PARKED] * 2
    assert seen(ledger) == {"status 0x0122: this SOP Class is not accepted there"}


def test_every_attempt_is_kept_with_its_peer_status_and_trouble(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    with pacs(0xA700, 0x0000) as (port, _):
        for _ in range(3):
            sender(ledger, spool, clock, port).tick()
            clock.moment += timedelta(hours=2)
    first = ledger.deliveries_where(destination="pacs")[0]
    kept = [(each["peer"], each["status"], each["trouble"]) for each in ledger.attempts_of(first["delivery_id"])]
    assert kept == [(f"PACS at 127.0.0.1:{port}", 0xA700, "busy"), (f"PACS at 127.0.0.1:{port}", 0x0000, "")]


def test_a_destination_that_is_down_is_tried_once_at_each_growing_interval_and_then_gets_all(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    port = free_port()
    began = clock.moment
    tried = set()
    while clock.moment < began + timedelta(hours=24):
        sender(ledger, spool, clock, port).tick()
        tried.add(ledger.circuit("pacs").failures)
        clock.moment += timedelta(minutes=1)
    assert ledger.circuit("pacs").failures == max(tried) < 32
    assert [row["tries"] for row in ledger.deliveries_where(destination="pacs")] == [0, 0]
    clock.moment += timedelta(hours=1)
    ended: list[int] = []
    scp = StorageScp(
        Door("PACS"),
        lambda offer: InMemory(offer, lambda *_: 0x0000),
        lambda record: ended.append(record.instances),
    )
    with listening(scp) as up:
        again = sender(ledger, spool, clock, up)
        again.tick()
    assert endings(ledger) == [DELIVERED] * 2
    assert ended == [1, 1]  # the first alone, to see whether it answers


def test_a_destination_that_rejects_us_is_parked_until_its_configuration_changes_or_a_person_retries(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    entity = AE("OTHER")
    entity.require_called_aet = True
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    refused = sender(ledger, spool, clock, server.server_address[1])
    refused.tick()
    clock.moment += timedelta(days=30)
    refused.tick()
    server.shutdown()
    circuit = ledger.circuit("pacs")
    assert "rejected the association: Called AE title not recognised" in circuit.parked
    assert endings(ledger) == [WAITS] * 2
    ledger.unpark_changed({"pacs": str(refused.carrier)}, clock.moment)
    assert ledger.circuit("pacs").parked
    ledger.unpark_changed({"pacs": "PACS at 10.0.0.5:104"}, clock.moment)
    assert not ledger.circuit("pacs").parked


def test_a_person_may_retry_cancel_and_look(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    with pacs(0xC000) as (port, _):
        for _ in range(2):
            sender(ledger, spool, clock, port).tick()
            clock.moment += timedelta(hours=2)
    first, second = (row["delivery_id"] for row in ledger.deliveries_where(destination="pacs"))
    assert ledger.retry_deliveries(clock.moment, delivery_id=first) == 1
    ledger.cancel_delivery(second, "the study was deleted", clock.moment)
    assert endings(ledger) == [WAITS, CANCELLED]
    assert len(ledger.attempts_of(first)) == 2
    with pytest.raises(Broken, match="is CANCELLED: only what waits can be cancelled"):
        ledger.cancel_delivery(second, "again", clock.moment)


def test_the_command_line_lists_shows_retries_cancels_and_exports(
    ledger: Ledger, spool: Spool, clock: Clock, tmp_path: Path
) -> None:
    with pacs(0x0124) as (port, _):
        sender(ledger, spool, clock, port).tick()
    (tmp_path / "node.yaml").write_text("spool: spool\n")
    (tmp_path / "rules.yaml").write_text("rules: []\n")
    (tmp_path / "destinations.yaml").write_text(
        f"destinations:\n  - {{name: pacs, ae_title: PACS, host: 127.0.0.1, port: {port}}}\n"
    )

    def outbox(*words: str) -> str:
        ran = run_command("outbox", *words, "--config", str(tmp_path))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    parked = json.loads(outbox("list", "--destination", "pacs", "--state", "parked", "--json"))["deliveries"]
    assert len(parked) == 2
    first, second = (str(row["delivery_id"]) for row in parked)
    (attempt,) = json.loads(outbox("show", first, "--json"))["attempts"]
    assert (attempt["trouble"], attempt["seen"]) == ("configuration", "status 0x0124: not authorised there")
    ledger.keep_circuit("pacs", "as it is", CLOSED.after(Trouble.CONFIGURATION, "rejected", NOW), NOW)
    assert outbox("retry", first) == "1 deliveries are tried again\n"
    assert ledger.circuit("pacs") == CLOSED
    assert outbox("cancel", second, "--why", "not wanted") == f"delivery {second} is CANCELLED\n"
    exported = Path(outbox("export", first, str(tmp_path / "out")).strip())
    assert exported.read_bytes() == (spool.outbox("job") / exported.name).read_bytes()
    assert endings(ledger) == [WAITS, CANCELLED]
