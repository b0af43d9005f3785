"""Names: computed, never drawn, so that whatever runs twice comes out the same."""

import hashlib
import re
import uuid
from collections.abc import Iterable

# PS3.7 D.3.3.2: the pair that names this implementation, on the network and in files
IMPLEMENTATION_CLASS_UID = "2.25.86276371217573434905361164264839467093"
IMPLEMENTATION_VERSION = "ISOCENTER_0_1"

_UID = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+", re.ASCII)
_NAMESPACE = uuid.UUID("6f1d2c1e-6f2b-5b0e-9d1c-0f6a1c7a9a55")


def is_uid(text: str) -> bool:
    """True when `text` is a valid UID (PS3.5 section 9.1): the one gate between the network and a path."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def digest(parts: Iterable[str]) -> str:
    """SHA-256 over the parts, in order, as 32 hexadecimal digits."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def patient_digest(patient_id: str, issuer: str = "") -> str:
    """Enough of a patient's identifier to see that two differ; empty for nobody's.

    The same identifier of two issuers (PS3.3 C.2.2: Issuer of Patient ID) is that of two patients.
    """
    names = "\n".join(filter(None, (patient_id, issuer)))
    return hashlib.sha256(names.encode()).hexdigest()[:16] if patient_id else ""


def person_digests(patient_id: str, issuer: str, birth_date: str, sex: str) -> str:
    """Of birth date and sex at that identifier one digest each; what is not stated has none."""
    return "/".join(digest((patient_id, issuer, said))[:16] if said else "" for said in (birth_date, sex))


def is_another_person(one: str, other: str) -> bool:
    """True when both of `person_digests` state something, and not the same."""
    return any(a and b and a != b for a, b in zip(one.split("/"), other.split("/"), strict=False))


def instance_set(sop_instance_uids: Iterable[str]) -> str:
    """The name of a set of instances, whatever order they came in."""
    return digest(sorted(set(sop_instance_uids)))


def job_id(stack_id: str, model: str, version: str, observed: Iterable[str] = ()) -> str:
    """The name of the work of one model version on one stack, and on what it is told beside."""
    return digest((stack_id, model, version, *observed))


def notice_id(stack_id: str, model: str, version: str, why: str) -> str:
    """The name of the job that says why one model version did not run on one stack."""
    return digest((stack_id, model, version, "not analysed", why))


def algorithm_uid(name: str, version: str, weights_sha256: str) -> str:
    """The UID of an algorithm as a device: a new one whenever one of these changes (IHE AI Results)."""
    return derived_uid("algorithm", name, version, weights_sha256)


def derived_uid(*parts: str) -> str:
    """A UID of the 2.25 root (PS3.5 B.2) that is the same for the same parts: a PACS can never get duplicates."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(parts)).int}"
