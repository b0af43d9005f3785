"""Who may come in, and how many at once: decisions about connections and association requests."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Host = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Admitted:
    """One entry of the allow-list: who calls, whom it calls, where from, and with which certificate, if with one."""

    calling_ae_title: str
    called_ae_title: str
    host: Host
    certificate: str | None = None  # a common name or DNS name, or FINGERPRINT and 64 hexadecimal digits


FINGERPRINT = "sha256:"


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """What the certificate of a peer calls it, once the TLS handshake has verified it."""

    common_names: tuple[str, ...]
    dns_names: tuple[str, ...]
    sha256: str  # of its DER bytes, in lower case

    def __str__(self) -> str:
        return ", ".join(map(repr, (*self.common_names, *self.dns_names))) or f"{FINGERPRINT}{self.sha256}"

    def is_the_one(self, wanted: str) -> bool:
        """True when an entry means this certificate: names count whole, and those of DNS whatever their case."""
        if wanted.startswith(FINGERPRINT):
            return wanted == f"{FINGERPRINT}{self.sha256}"
        ascii_names = {name.lower() for name in self.dns_names if name.isascii()}
        return wanted in self.common_names or (wanted.isascii() and wanted.lower() in ascii_names)


class Objection(Enum):
    """Why an association request is rejected (PS3.8 table 9-21)."""

    CALLED_AE_TITLE_UNKNOWN = auto()
    CALLING_AE_TITLE_UNKNOWN = auto()
    CERTIFICATE_ABSENT = auto()
    CERTIFICATE_OF_ANOTHER = auto()


def objection(
    entries: Sequence[Admitted], calling: str, called: str, address: str, certificate: ShownCertificate | None = None
) -> Objection | None:
    """Why this caller may not come in, or None. An AE title alone is a name and no proof: the address must fit too.

    So must the certificate, for an entry that names one; without TLS there is none.
    """
    if all(entry.called_ae_title != called for entry in entries):
        return Objection.CALLED_AE_TITLE_UNKNOWN
    caller, titles = _address(address), (calling, called)
    fitting = [each for each in entries if (each.calling_ae_title, each.called_ae_title) == titles]
    asked = [entry.certificate for entry in fitting if caller in entry.host]
    if not asked:
        return Objection.CALLING_AE_TITLE_UNKNOWN
    if any(wanted is None or (certificate and certificate.is_the_one(wanted)) for wanted in asked):
        return None
    return Objection.CERTIFICATE_OF_ANOTHER if certificate else Objection.CERTIFICATE_ABSENT


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many connections may be open at once."""

    shared: int  # among all peers
    per_address: int  # of the shared ones, from one address
    reserved_per_peer: int  # beside the shared ones, for each entry of the allow-list
    strangers: int  # from addresses of no peer, which are told so by an A-ASSOCIATE-RJ


@dataclass(frozen=True, slots=True)
class Slot:
    """A place that a connection holds until it is given back."""

    address: str
    reserved_for: int | None = None  # an index of the allow-list
    stranger: bool = False


@dataclass(frozen=True, slots=True)
class Full:
    """There is no place; the sentence says which limit is reached."""

    sentence: str


class Doorkeeper:
    """Counts open connections; a greedy address cannot take the places of another."""

    def __init__(self, capacity: Capacity, hosts: Sequence[Host]) -> None:
        self._capacity = capacity
        self._hosts = hosts
        self._taken: Counter[Slot] = Counter()

    def admit(self, address: str) -> Slot | Full:
        """A slot for a connection from here, to be given back by `leave`."""
        caller = _address(address)
        entries = [index for index, host in enumerate(self._hosts) if caller in host]
        slot = self._free_slot(address, entries) if entries else self._free_slot_of_strangers(address)
        if isinstance(slot, Slot):
            self._taken[slot] += 1
        return slot

    def leave(self, slot: Slot) -> None:
        """Give a slot back."""
        self._taken[slot] -= 1
        if not self._taken[slot]:
            del self._taken[slot]

    @property
    def open_connections(self) -> int:
        """How many slots are taken."""
        return self._taken.total()

    def _free_slot(self, address: str, entries: Sequence[int]) -> Slot | Full:
        for index in entries:
            if self._count(reserved_for=index) < self._capacity.reserved_per_peer:
                return Slot(address, reserved_for=index)
        shared = Slot(address)
        if self._taken[shared] >= self._capacity.per_address:
            return Full(f"{address} has {self._taken[shared]} shared connections open, as many as one address may")
        if self._count(reserved_for=None) >= self._capacity.shared:
            return Full(f"all {self._capacity.shared} shared connections are open")
        return shared

    def _free_slot_of_strangers(self, address: str) -> Slot | Full:
        strangers = sum(count for slot, count in self._taken.items() if slot.stranger)
        if strangers >= self._capacity.strangers:
            return Full(f"{address} is the address of no peer, and {strangers} such connections are open")
        return Slot(address, stranger=True)

    def _count(self, reserved_for: int | None) -> int:
        return sum(
            count for slot, count in self._taken.items() if not slot.stranger and slot.reserved_for == reserved_for
        )


def _address(text: str) -> IPv4Address | IPv6Address:
    """An address without its zone; one that is IPv4 within IPv6 counts as IPv4."""
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address
