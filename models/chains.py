"""The packages of a chain's steps: found by name, and refused where they are not those that the chain names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from models.manifest import Chain, Manifest, Regression, Segmentation
from models.registry import MANIFEST, Package, PackageError, find
from models.sections import Evidence, Intake, Label
from models.steps import Step
from models.terms import Code, Term


def bound(package: Package, packages: Mapping[str, Package]) -> Package:
    """A chain with the packages of its steps; any other package as it is. No weights are read.

    Raises PackageError, with everything that is wrong, when a step's package is not there, is another one than the
    chain names, cannot be a step, or is asked for what it does not know.
    """
    if not isinstance(package.manifest, Chain):
        return package
    if complaints := tuple(complaints_of(package.manifest, packages)):
        raise PackageError(f"{package.folder / MANIFEST}: {'; '.join(complaints)}")
    return replace(package, steps=tuple(packages[step.package] for step in package.manifest.steps))


def bound_beside(package: Package, folders: Iterable[Path]) -> Package:
    """As `bound`, of the packages in these folders and, where they have none of a name, of those beside the chain."""
    if not isinstance(package.manifest, Chain):
        return package
    return bound(package, find([package.folder.resolve().parent]) | find(folders))


def complaints_of(chain: Chain, packages: Mapping[str, Package]) -> Iterator[str]:
    """Why the packages are not what the chain is made of, in words; nothing when they are."""
    complaints = [
        f"step {number} {complaint}"
        for number, step in enumerate(chain.steps, start=1)
        for complaint in _of_step(chain, step, packages.get(step.package))
    ]
    yield from complaints
    if not complaints:
        manifests = [packages[step.package].manifest for step in chain.steps]
        yield from _of_hand_over(chain, manifests)
        yield from _of_told(chain, manifests)


def steps_of(package: Package) -> Iterator[tuple[Step, Package]]:
    """The steps of a chain with their packages. Raises PackageError for one that was not bound to them."""
    chain = chain_of(package)
    if len(package.steps) != len(chain.steps):
        raise PackageError(f"{package.folder} is not bound to the packages of its steps")
    return zip(chain.steps, package.steps, strict=True)


def chain_of(package: Package) -> Chain:
    """The manifest of a chain. Raises PackageError for any other kind of model."""
    if not isinstance(package.manifest, Chain):
        raise PackageError(f"{package.folder} is no chain: its task is {package.manifest.task}")
    return package.manifest


def told_terms(chain: Chain, manifests: Sequence[Manifest]) -> list[tuple[int, Term]]:
    """What the chain tells, each with the number of its step; `manifests` are those of the steps."""
    return [
        (number, term)
        for number, manifest in enumerate(manifests, start=1)
        for term in terms_of(manifest)
        if chain.tells_of(number, term.name)
    ]


def told_labels(package: Package) -> tuple[Label, ...]:
    """The labels that a bound chain tells, in the order of its steps."""
    manifests = [step.manifest for _, step in steps_of(package)]
    return tuple(term for _, term in told_terms(chain_of(package), manifests) if isinstance(term, Label))


def terms_of(manifest: Manifest) -> tuple[Term, ...]:
    """Everything that a model may mark, in the order of its manifest."""
    said = [getattr(manifest, name) for name in type(manifest).model_fields]
    return tuple(each for part in said for each in (part if isinstance(part, tuple) else ()) if isinstance(each, Term))


def _of_step(chain: Chain, step: Step, package: Package | None) -> Iterator[str]:
    if package is None:
        yield f"is {step.package} {step.version}, which is not here: install it where the node looks for packages"
        return
    manifest = package.manifest
    if not _can_be_step(manifest):
        yield f"is {step.package}, whose task is {manifest.task}: a step marks something in a volume"
        return
    if manifest.version != step.version:
        yield f"is {step.package} {step.version}, and here is version {manifest.version}"
    elif manifest.weights_sha256 != step.weights_sha256:
        yield f"is {step.package} of the weights {step.weights_sha256}, and here are {manifest.weights_sha256}"
    elif step.manifest_sha256 not in (None, manifest.said_sha256):
        yield f"is {step.package} of the manifest {step.manifest_sha256}, and here is {manifest.said_sha256}"
    yield from _of_claims(chain, step, manifest)


def _can_be_step(manifest: Manifest) -> bool:
    return isinstance(manifest.intake, Intake) and not isinstance(manifest, Chain | Regression)


def _of_claims(chain: Chain, step: Step, manifest: Manifest) -> Iterator[str]:
    """What the chain may not say of itself because a step does not."""
    if manifest.evidence is Evidence.PHANTOM and chain.evidence is not Evidence.PHANTOM:
        yield f"is {step.package}, which has seen phantoms only, and the chain says evidence: {chain.evidence.value}"
    for modality in chain.intake.modalities:
        if modality not in manifest.intake.modalities:
            yield f"is {step.package}, which was not validated on {modality}, and the chain takes it"
    validated, taken = set(manifest.intake.body_parts), set(chain.intake.body_parts)
    if validated and not (taken and taken <= validated):
        wanted = ", ".join(sorted(taken - validated)) or "any body part"
        yield f"is {step.package}, which was validated on {', '.join(sorted(validated))}, and the chain takes {wanted}"
    if chain.intake.lossy and not manifest.intake.lossy:
        yield f"is {step.package}, which declines images after lossy compression, and the chain takes them"


def _of_hand_over(chain: Chain, manifests: Sequence[Manifest]) -> Iterator[str]:
    for number, step in enumerate(chain.steps, start=1):
        if step.within and not _knows(manifests[step.within.step - 1], step.within.what):
            earlier = chain.steps[step.within.step - 1].package
            known = ", ".join(term.name for term in terms_of(manifests[step.within.step - 1]))
            yield f"step {number} is within {step.within.what!r}, and step {step.within.step} ({earlier}) marks {known}"


def _knows(manifest: Manifest, what: str | int) -> bool:
    if isinstance(what, str):
        return what in [term.name for term in terms_of(manifest)]
    if isinstance(manifest, Segmentation):
        return what in [label.value for label in manifest.labels]
    return what >= 1  # boxes have the numbers that they are found with


def _of_told(chain: Chain, manifests: Sequence[Manifest]) -> Iterator[str]:
    for number, (step, manifest) in enumerate(zip(chain.steps, manifests, strict=True), start=1):
        known = [term.name for term in terms_of(manifest)]
        for name in step.tell if isinstance(step.tell, tuple) else ():
            if name not in known:
                yield f"step {number} tells {name!r}, and {step.package} marks {', '.join(known)}"
    seen: dict[str | tuple[Code, Code | None], int] = {}
    for number, term in told_terms(chain, manifests):
        codes = (term.type, term.modifier)
        if (other := seen.get(term.name, seen.get(codes, number))) != number:
            yield f"{term.name} is told by step {other} and by step {number}: let one of them tell it"
        seen[term.name] = seen[codes] = number
