"""Why a model must not answer for a stack: its evidence and its intake, judged before any pixel is read."""

from collections.abc import Iterator
from dataclasses import dataclass

from models.intake import age_objections, objections, radiograph_objections
from models.manifest import Manifest
from models.sections import Evidence, RadiographIntake
from service.core.entities import StackRecord


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a site lets its models do beside what they were validated for."""

    phantom_models: bool = False  # a model that has seen phantoms only may answer for a patient
    any_age: bool = False  # a model may answer for patients of an age that it was not validated on


NOTHING_ELSE = Allowance()


def why_not(manifest: Manifest, stack: StackRecord, allowed: Allowance = NOTHING_ELSE) -> tuple[str, ...]:
    """Every reason against running the model on the stack, in words; empty when it may run."""
    return (
        *_evidence_objections(manifest, stack, allowed),
        *_intake_objections(manifest, stack, allowed),
    )


def remarks(manifest: Manifest, stack: StackRecord) -> tuple[str, ...]:
    """What the answer of a model that ran must say of its input: the reasons that the site has set aside."""
    if stack.radiograph is None or not isinstance(manifest.intake, RadiographIntake):
        return ()
    return tuple(f"Set aside by this site: {each}." for each in age_objections(manifest.intake, stack.radiograph))


def _intake_objections(manifest: Manifest, stack: StackRecord, allowed: Allowance) -> tuple[str, ...]:
    if isinstance(manifest.intake, RadiographIntake):
        return _radiograph_objections(manifest, manifest.intake, stack, allowed)
    if stack.grid is None:
        return (f"{manifest.name} is for volumes, and this is a radiograph",)
    return objections(
        manifest.intake,
        stack.modality,
        stack.grid,
        body_parts=stack.body_parts,
        lossy=stack.lossy,
        places=stack.places,
    )


def _radiograph_objections(
    manifest: Manifest, intake: RadiographIntake, stack: StackRecord, allowed: Allowance
) -> tuple[str, ...]:
    if stack.radiograph is None:
        return (f"{manifest.name} is for radiographs, and this is a volume",)
    found = radiograph_objections(intake, stack.modality, stack.radiograph, lossy=stack.lossy)
    return found if allowed.any_age else (*found, *age_objections(intake, stack.radiograph))


def _evidence_objections(manifest: Manifest, stack: StackRecord, allowed: Allowance) -> Iterator[str]:
    if manifest.evidence is Evidence.PHANTOM and not stack.phantom and not allowed.phantom_models:
        yield f"{manifest.name} was trained on phantoms only and this image does not say that it shows one"
