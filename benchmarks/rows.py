"""The situations that are measured."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from benchmarks.images import Kind, synthesise
from benchmarks.sender import Way

_QUICK_SHARE = 8
_QUICK_LEAST = 8  # for each association


@dataclass(frozen=True, slots=True)
class Row:
    """A sender, what it sends and over how many associations at a time."""

    name: str
    way: Way
    kind: Kind
    associations: int
    instances: int

    @property
    def title(self) -> str:
        """The row in words."""
        count = f"{self.associations} association{'s' if self.associations > 1 else ''}"
        installed = "; DCMTK and Orthanc as installed, without TCP_NODELAY=1" if self.as_installed else ""
        return f"{self.instances} {self.kind.name}, {self.way.value}, {count} at a time{installed}"

    @property
    def as_installed(self) -> bool:
        """True when DCMTK and Orthanc keep Nagle's algorithm, which is how they come."""
        return self.way is Way.STOCK

    @property
    def stored_bytes(self) -> int:
        """What one run of this row leaves on the disk."""
        copies = 2 if self.way is Way.STOCK else 1  # storescu reads files
        return copies * self.instances * synthesise(self.kind).length


ROWS = (
    Row("ct-1", Way.OURS, Kind.CT, 1, 480),
    Row("ct-4", Way.OURS, Kind.CT, 4, 640),
    Row("ct-8", Way.OURS, Kind.CT, 8, 640),
    Row("mr-1", Way.OURS, Kind.MR, 1, 1000),
    Row("mr-4", Way.OURS, Kind.MR, 4, 1600),
    Row("stock-ct-1", Way.STOCK, Kind.CT, 1, 100),  # 44 ms each to DCMTK and Orthanc
    Row("stock-ct-4", Way.STOCK, Kind.CT, 4, 200),
    Row("once-mr-1", Way.ONCE, Kind.MR, 1, 400),
)


def shortened(rows: Iterable[Row]) -> list[Row]:
    """The same rows with few instances: to see that all of it runs, not how fast."""
    return [replace(row, instances=row.associations * _quick_share(row)) for row in rows]


def _quick_share(row: Row) -> int:
    return max(row.instances // row.associations // _QUICK_SHARE, _QUICK_LEAST)
