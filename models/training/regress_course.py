"""Teaching to predict: each visit of a patient from each earlier one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.inputs import encode, places
from models.manifest import Regression
from models.perceptron import ChangeNetwork, perceptron_of, rows_at
from models.registry import PackageError
from models.tasks.regress import Regressor
from models.training.laplace import laplace_log_likelihood
from models.training.losses import modified_laplace
from models.training.recipe import Loss, Recipe
from models.training.visits import Patient


@dataclass(frozen=True, slots=True)
class Patients:
    """Those who train and those who choose the checkpoint."""

    training: Sequence[Patient]
    validation: Sequence[Patient]


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Earlier and later visits: features (n, width), weeks between them (n,), and the change (n,)."""

    features: NDArray[np.float32]
    weeks: NDArray[np.float32]
    changes: NDArray[np.float32]


class RegressCourse:
    """A course (models/training/course.py) of patients and their visits."""

    def __init__(self, manifest: Regression, recipe: Recipe, patients: Patients) -> None:
        if recipe.loss is not Loss.LAPLACE:
            raise PackageError(f"{recipe.loss} is no loss of a model that states an uncertainty: {Loss.LAPLACE} is")
        self.network: nn.Module = perceptron_of(manifest)
        self._manifest, self._recipe, self._patients = manifest, recipe, patients
        self._pairs = pairs(manifest, patients.training)
        where = places(manifest.inputs)
        self._dispensable = [where[each.name] for each in manifest.inputs if each.learned and not each.required]

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows (n, width + 1) and changes (n,); what the model may do without is withheld as the recipe says."""
        chosen = rng.integers(len(self._pairs.weeks), size=self._recipe.batch)
        features = self._pairs.features[chosen]
        for place in self._dispensable:
            withheld = rng.random(len(chosen)) < self._recipe.augmentation.withheld
            features[withheld, place] = 0.0
        rows = rows_at(torch.from_numpy(features), torch.from_numpy(self._pairs.weeks[chosen]))
        return rows, torch.from_numpy(self._pairs.changes[chosen])

    def loss(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The modified Laplace log likelihood, negative."""
        return modified_laplace(answers, targets)

    def scores(self, network: nn.Module) -> dict[str, float]:
        """The modified Laplace log likelihood of all visits after the first one."""
        assert isinstance(network, ChangeNetwork)  # as made above
        asked = Regressor(self._manifest, network)
        likelihoods = [compared(asked, patient).likelihoods for patient in self._patients.validation]
        return {"Laplace log likelihood": float(np.concatenate(likelihoods).mean())}


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """The visits of a patient after the first: weeks since then, what was found there, and what was predicted, (n,)."""

    weeks: NDArray[np.float64]
    truth: NDArray[np.float64]
    found: NDArray[np.float64]
    sigma: NDArray[np.float64]

    @property
    def likelihoods(self) -> NDArray[np.float64]:
        """The modified Laplace log likelihood of each, (n,)."""
        return laplace_log_likelihood(self.truth, self.found, self.sigma)


def compared(ask: Regressor, patient: Patient) -> Compared:
    """A patient, asked about from the first visit."""
    first, *later = patient.visits
    weeks = [visit.weeks - first.weeks for visit in later]
    answers = ask.answers({**patient.values, ask.manifest.baseline.input: first.value}, weeks)
    truth = np.array([visit.value for visit in later])
    return Compared(np.array(weeks), truth, answers[:, 0], answers[:, 1])


def pairs(manifest: Regression, patients: Sequence[Patient]) -> Pairs:
    """Every visit with each later one of the same patient."""
    features, weeks, changes = [], [], []
    for patient in patients:
        for index, first in enumerate(patient.visits):
            known = encode(manifest.inputs, {**patient.values, manifest.baseline.input: first.value})
            for later in patient.visits[index + 1 :]:
                features.append(known)
                weeks.append(later.weeks - first.weeks)
                changes.append(later.value - first.value)
    return Pairs(np.stack(features), np.array(weeks, dtype=np.float32), np.array(changes, dtype=np.float32))
