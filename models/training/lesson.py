"""What one network is taught, and what decides what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from models.manifest import Manifest
from models.training.course import Course
from models.training.recipe import Teaching
from models.training.split import Groups

# training writes the rest of a manifest, or does not ask for it
_AS_TRAINED = {"task", "preprocessing", "network", "inference", "labels", "inputs", "baseline", "output"}


@dataclass(frozen=True, slots=True)
class Lesson:
    """A course that begins when it is called for, by which recipe, and a digest of all that decides the weights."""

    course: Callable[[], Course]
    recipe: Teaching
    purpose: str


def purpose(manifest: Manifest, recipe: Teaching, groups: Groups) -> str:
    """A digest of all that decides what the weights become."""
    decides = manifest.model_dump_json(include=_AS_TRAINED)
    return sha256("\n".join((decides, recipe.model_dump_json(), groups.model_dump_json())).encode()).hexdigest()


def announce(groups: Groups) -> None:
    """Says how many cases do what."""
    print(f"{len(groups.training)} cases to train on, {len(groups.validation)} to choose by", flush=True)
