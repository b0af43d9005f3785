"""Who may come in, and how many at once."""

from ipaddress import ip_network

import pytest

from service.core.doorkeeping import Admitted, Capacity, Doorkeeper, Full, Objection, ShownCertificate, Slot, objection

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


GOOD = ShownCertificate(("ct01",), ("CT01.Hospital.example", "ct01"), "ab" * 32)


def bound(certificate: str) -> Admitted:
    return Admitted("CT01", "ISOCENTER", ip_network("10.0.0.0/24"), certificate)


@pytest.mark.parametrize(
    ("wanted", "shown", "expected"),
    [
        pytest.param("ct01", GOOD, None, id="its common name"),
        pytest.param("ct01.hospital.EXAMPLE", GOOD, None, id="its DNS name, whatever the case"),
        pytest.param(f"sha256:{'ab' * 32}", GOOD, None, id="its fingerprint"),
        pytest.param("ct01", None, Objection.CERTIFICATE_ABSENT, id="without TLS"),
        pytest.param("ct02", GOOD, Objection.CERTIFICATE_OF_ANOTHER, id="another name"),
        pytest.param(f"sha256:{'ac' * 32}", GOOD, Objection.CERTIFICATE_OF_ANOTHER, id="another fingerprint"),
        pytest.param("hospital.example", GOOD, Objection.CERTIFICATE_OF_ANOTHER, id="the end of a name"),
        pytest.param("ct01.hospital", GOOD, Objection.CERTIFICATE_OF_ANOTHER, id="the beginning of a name"),
    ],
)
def test_an_entry_that_names_a_certificate_admits_whoever_shows_it(
    wanted: str, shown: ShownCertificate | None, expected: Objection | None
) -> None:
    assert objection([bound(wanted)], "CT01", "ISOCENTER", "10.0.0.9", shown) is expected


@pytest.mark.parametrize(
    ("common_names", "dns_names"),
    [
        pytest.param(("ct01\0.evil.example",), ("ct01\0.evil.example",), id="a NUL"),
        pytest.param(("CT01", "ct01 ", "ct01."), ("ct01 ", "ct01."), id="another case, a blank, a dot"),
        pytest.param(("\u0441t01", "ct\uff10\uff11", "ct01\u200b"), ("\u0441t01",), id="look-alikes"),
        pytest.param(("*", "ct0?"), ("*", "*.example"), id="wildcards"),
        pytest.param((), (), id="no name"),
    ],
)
def test_a_name_that_only_looks_alike_is_that_of_another(
    common_names: tuple[str, ...], dns_names: tuple[str, ...]
) -> None:
    shown = ShownCertificate(common_names, dns_names, "00" * 32)
    assert objection([bound("ct01")], "CT01", "ISOCENTER", "10.0.0.9", shown) is Objection.CERTIFICATE_OF_ANOTHER


def test_the_letter_that_lower_case_turns_into_k_is_no_k() -> None:
    assert not ShownCertificate((), ("\u212aspace.example",), "").is_the_one("kspace.example")


def test_a_certificate_opens_no_entry_of_another_address() -> None:
    assert objection([bound("ct01")], "CT01", "ISOCENTER", "10.0.1.9", GOOD) is Objection.CALLING_AE_TITLE_UNKNOWN


def test_one_of_several_entries_that_fits_is_enough() -> None:
    assert objection([bound("old"), bound("ct01")], "CT01", "ISOCENTER", "10.0.0.9", GOOD) is None
