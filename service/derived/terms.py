"""Coded terms, and the names under which structures are found again in every object of a job."""

from dataclasses import dataclass

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

from models.findings import Algorithm, Findings, Region
from models.sections import Label
from models.terms import Code, Term
from service.derived.origin import Origin

ARTIFICIAL_INTELLIGENCE = codes.cid7162.ArtificialIntelligence


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure of the model under its tracking names; `segment_number` is None when it was not found."""

    region: Region
    segment_number: int | None
    tracking_id: str
    tracking_uid: str


def structures(findings: Findings, origin: Origin) -> list[Structure]:
    """Every structure the model looked for; those it found are numbered 1, 2, 3, ... (PS3.3 C.8.20.2)."""
    number_of = {id(region): number for number, region in enumerate(findings.found, start=1)}
    first_of: dict[int, Label] = {}
    for region in findings.regions:
        first_of.setdefault(region.label.value, region.label)
    return [
        Structure(
            region,
            number_of.get(id(region)),
            f"{findings.algorithm.name} {region.name}"[:64],
            origin.uid("structure", *_identity(region, first_of[region.label.value])),
        )
        for region in findings.regions
    ]


def _identity(region: Region, first: Label) -> tuple[str, ...]:
    """What tells a region from the others of a job: two steps of a chain may number their labels alike."""
    apart = () if region.label == first else (region.label.name,)
    return (str(region.label.value), *apart, *((str(region.lesion),) if region.lesion > 1 else ()))


@dataclass(frozen=True, slots=True)
class Tracking:
    """The name and the UID under which one finding is found again in every object of a job."""

    identifier: str
    uid: str


def tracking(algorithm: Algorithm, origin: Origin, kind: str, number: int, term: Term | None = None) -> Tracking:
    """The names of the finding `number` (1, 2, 3, ...) of a kind: no two of a job are equal, however long the term."""
    which = f", {kind} {number}" if term else f" {kind}"
    name = f"{algorithm.name} {term.name}" if term else algorithm.name
    return Tracking(name[: 64 - len(which)] + which, origin.uid("finding", kind, str(number)))


def concept(code: Code) -> CodedConcept:
    """A manifest's code as a Code Sequence item."""
    return CodedConcept(code.value, code.scheme, code.meaning)
