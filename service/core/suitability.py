"""Why a model must not answer for a stack: its evidence and its intake, judged before any pixel is read."""

from collections.abc import Iterator

from models.intake import objections
from models.manifest import Evidence, Manifest, RadiographIntake
from service.core.entities import StackRecord


def why_not(manifest: Manifest, stack: StackRecord, *, phantom_models_may_answer: bool) -> tuple[str, ...]:
    """Every reason against running the model on the stack, in words; empty when it may run.

    A model that has seen phantoms only never answers for a patient unless the site says so.
    """
    return (
        *_evidence_objections(manifest, stack, phantom_models_may_answer),
        *_intake_objections(manifest, stack),
    )


def _intake_objections(manifest: Manifest, stack: StackRecord) -> tuple[str, ...]:
    if isinstance(manifest.intake, RadiographIntake):
        return (f"{manifest.name} is for radiographs, and no task answers for them yet",)
    if stack.grid is None:
        return (f"{manifest.name} is for volumes, and this is a radiograph",)
    return objections(manifest.intake, stack.modality, stack.grid, lossy=stack.lossy, places=stack.places)


def _evidence_objections(manifest: Manifest, stack: StackRecord, allowed: bool) -> Iterator[str]:
    if manifest.evidence is Evidence.PHANTOM and not stack.phantom and not allowed:
        yield f"{manifest.name} was trained on phantoms only and this image does not say that it shows one"
