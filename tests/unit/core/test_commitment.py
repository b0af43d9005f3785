"""What a request for commitment is told, and for how long it is tried to tell it."""

from datetime import UTC, datetime, timedelta

import pytest

from service.core.commitment import Account, Asked, Found, Pending, Referenced, Standing, account

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
IMAGE = Referenced(CT, "1.2.3")
WHOLE, DAMAGED = Found(Standing.WHOLE, CT), Found(Standing.DAMAGED, CT)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param([], 0x0112, id="never came"),
        pytest.param([WHOLE], None, id="here"),
        pytest.param([DAMAGED], 0x0110, id="damaged"),
        pytest.param([Found(Standing.DAMAGED)], 0x0110, id="unreadable"),
        pytest.param([Found(Standing.WHOLE, MR)], 0x0119, id="of another class"),
        pytest.param([Found(Standing.DAMAGED, MR)], 0x0119, id="of another class and damaged"),
        pytest.param([Found(Standing.UNREAD)], 0x0213, id="no time to read it"),
        pytest.param([DAMAGED, WHOLE], None, id="one of two is whole"),
        pytest.param([Found(Standing.WHOLE, MR), WHOLE], None, id="one of two is of the class"),
        pytest.param([Found(Standing.WHOLE, MR), DAMAGED], 0x0110, id="whole of another class, damaged of this"),
    ],
)
def test_a_reference_is_held_only_when_a_whole_file_of_its_class_is_here(
    found: list[Found], reason: int | None
) -> None:
    expected = Account((IMAGE,)) if reason is None else Account(failed={IMAGE: reason})
    assert account([IMAGE], {IMAGE.sop_instance_uid: found}) == expected


def test_every_reference_is_told_of_once() -> None:
    other = Referenced(MR, IMAGE.sop_instance_uid)
    told = account([IMAGE, other, IMAGE], {IMAGE.sop_instance_uid: [WHOLE]})
    assert told == Account((IMAGE,), {other: 0x0119})


def test_a_peer_is_tried_for_a_day_at_growing_intervals() -> None:
    asked = Asked("1.2", "CT01", "ISOCENTER", "127.0.0.1", (IMAGE,))
    pending, moments = Pending(asked, asked_at=NOW, next_at=NOW), []
    while not pending.is_over(pending.next_at):
        moments.append(pending.next_at - NOW)
        pending = pending.put_off(pending.next_at)
    assert moments[:4] == [timedelta(0), timedelta(seconds=5), timedelta(seconds=35), timedelta(seconds=155)]
    assert timedelta(hours=23) <= moments[-1] < timedelta(hours=24)
    assert len(moments) == 29
