"""Who may come in, and how many at once."""

from ipaddress import ip_network

import pytest

from service.core.doorkeeping import Admitted, Capacity, Doorkeeper, Full, Objection, Slot, objection

CT = Admitted("CT01", "ISOCENTER", ip_network("10.0.0.0/24"))
PACS = Admitted("PACS", "ISOCENTER_AI", ip_network("10.0.1.5/32"))
CAPACITY = Capacity(shared=3, per_address=2, reserved_per_peer=1, strangers=1)


@pytest.fixture
def keeper() -> Doorkeeper:
    return Doorkeeper(CAPACITY, [CT.host, PACS.host])


def filled(keeper: Doorkeeper, address: str) -> list[Slot]:
    """Every slot that an address can get."""
    slots = []
    while isinstance(slot := keeper.admit(address), Slot):
        slots.append(slot)
    return slots


@pytest.mark.parametrize(
    ("calling", "called", "address", "expected"),
    [
        pytest.param("CT01", "ISOCENTER", "10.0.0.9", None, id="a peer from its network"),
        pytest.param("CT01", "ISOCENTER", "::ffff:10.0.0.9", None, id="IPv4 within IPv6"),
        pytest.param("PACS", "ISOCENTER_AI", "10.0.1.5", None, id="a peer that calls us by another name"),
        pytest.param("PACS", "ISOCENTER", "10.0.1.5", Objection.CALLING_AE_TITLE_UNKNOWN, id="by the name for others"),
        pytest.param("CT01", "ISOCENTER", "10.0.1.5", Objection.CALLING_AE_TITLE_UNKNOWN, id="from another's address"),
        pytest.param("CT02", "ISOCENTER", "10.0.0.9", Objection.CALLING_AE_TITLE_UNKNOWN, id="an unknown name"),
        pytest.param("CT01", "isocenter", "10.0.0.9", Objection.CALLED_AE_TITLE_UNKNOWN, id="another case"),
    ],
)
def test_name_name_and_address_count_together(
    calling: str, called: str, address: str, expected: Objection | None
) -> None:
    assert objection((CT, PACS), calling, called, address) is expected


def test_a_greedy_address_gets_its_reserve_and_its_share_and_no_more(keeper: Doorkeeper) -> None:
    assert len(filled(keeper, "10.0.0.9")) == CAPACITY.reserved_per_peer + CAPACITY.per_address
    refusal = keeper.admit("10.0.0.9")
    assert isinstance(refusal, Full)
    assert "10.0.0.9" in refusal.sentence


def test_a_peer_finds_its_reserve_when_others_hold_all_that_is_shared(keeper: Doorkeeper) -> None:
    for number in range(5):
        filled(keeper, f"10.0.0.{number}")
    assert len(filled(keeper, "10.0.1.5")) == CAPACITY.reserved_per_peer


def test_strangers_have_few_places_and_take_none_of_the_peers(keeper: Doorkeeper) -> None:
    assert len(filled(keeper, "192.168.1.1")) == CAPACITY.strangers
    assert isinstance(keeper.admit("192.168.1.2"), Full)
    assert len(filled(keeper, "10.0.0.9")) == CAPACITY.reserved_per_peer + CAPACITY.per_address


def test_a_slot_that_is_given_back_can_be_taken_again(keeper: Doorkeeper) -> None:
    slots = filled(keeper, "10.0.0.9")
    for slot in slots:
        keeper.leave(slot)
    assert keeper.open_connections == 0
    assert len(filled(keeper, "10.0.0.9")) == len(slots)
