"""From a package to scores and heat maps on the radiograph's own pixels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import networks
from models.findings import Findings
from models.inference import load_for_radiographs
from models.registry import PackageError, find, segmentation
from models.resnet import ImageNetwork, PooledHead
from models.sections import Calibration
from models.tasks.activation import METHODS, cam, grad_cam
from models.tasks.classify import Classifier, peaking, probability
from models.volume import Radiograph
from tests import factories
from tests.unit.models.packages import classifier, classifier_with_weights, classifier_written

TWO = [classifier_written()["classes"][0] | {"name": name, "operating_point": 0.2} for name in ("First", "Second")]

WHOLE_RANGE = {"kind": "percentiles", "percentiles": [0, 100], "onto": [-1, 1]}


class Bright(nn.Module):
    """Features that are what is bright and what is dark, at a quarter of the resolution."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(torch.cat([images, -images], 1).clamp(min=0), 4)


def bright(**changes: object) -> Classifier:
    """A classifier whose only evidence is brightness."""
    network = ImageNetwork(Bright(), PooledHead(2, 1))
    with torch.no_grad():
        network.head.linear.weight.copy_(torch.tensor([[1.0, 0.0]]))  # type: ignore[union-attr, operator]
        network.head.linear.bias.zero_()  # type: ignore[union-attr, operator]
    return Classifier(classifier(**changes), network)


def chest(rows: int = 48, columns: int = 64) -> Radiograph:
    return Radiograph(factories.chest(rows, columns), None, calibrated=False)


def spot(rows: int, columns: int, at: tuple[int, int]) -> Radiograph:
    """Black, but for a bright square around a place."""
    values = np.zeros((rows, columns), np.float32)
    values[at[0] - 4 : at[0] + 4, at[1] - 4 : at[1] + 4] = 1000
    return Radiograph(values, None, calibrated=False)


def brightest(findings: Findings) -> tuple[int, ...]:
    values = findings.heat_maps[0].values
    return tuple(int(at) for at in np.unravel_index(values.argmax(), values.shape))


def test_a_network_answers_with_one_logit_per_class_at_a_sixteenth_of_the_resolution() -> None:
    network = networks.build_for_images(classifier().network, classes=3)
    assert network(torch.zeros(2, 1, 64, 96)).shape == (2, 3)
    assert network.features(torch.zeros(2, 1, 64, 96)).shape == (2, 16, 4, 6)


def test_every_class_has_a_score_and_a_heat_map_on_the_pixels_of_the_image(tmp_path: Path) -> None:
    package = classifier_with_weights(tmp_path / "tiny", classes=TWO)
    findings = load_for_radiographs(package, "cpu")(chest())
    assert [(score.term.name, score.operating_point) for score in findings.scores] == [("First", 0.2), ("Second", 0.2)]
    assert [heat_map.values.shape for heat_map in findings.heat_maps] == [(48, 64), (48, 64)]
    assert findings.algorithm.weights_sha256 == package.manifest.weights_sha256
    for score, heat_map in zip(findings.scores, findings.heat_maps, strict=True):
        assert 0 < score.probability < 1
        assert heat_map.values.dtype == np.float32
        assert heat_map.values.min() >= 0
        assert heat_map.values.max() <= score.probability + 1e-6


def test_asking_twice_gives_the_same_answer(tmp_path: Path) -> None:
    predictor = load_for_radiographs(classifier_with_weights(tmp_path / "tiny"), "cpu")
    first, second = predictor(chest()), predictor(chest())
    assert first.scores == second.scores
    assert np.array_equal(first.heat_maps[0].values, second.heat_maps[0].values)


def test_a_package_without_a_heat_map_gives_scores_alone(tmp_path: Path) -> None:
    findings = load_for_radiographs(classifier_with_weights(tmp_path / "tiny", heat_map=None), "cpu")(chest())
    assert (len(findings.scores), findings.heat_maps) == (1, ())


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("mirror", [False, True], ids=["as it is", "mirrored too"])
def test_the_heat_map_peaks_at_the_evidence_in_an_image_that_is_not_square(fit: str, mirror: bool) -> None:
    preprocessing = {"rows": 64, "columns": 64, "fit": fit, "intensity": WHOLE_RANGE}
    findings = bright(preprocessing=preprocessing, mirror=mirror)(spot(96, 160, (30, 60)))
    assert np.abs(np.subtract(brightest(findings), (30, 60))).max() <= 5


def test_the_peak_of_a_heat_map_is_the_probability() -> None:
    findings = bright()(spot(64, 64, (20, 40)))
    assert findings.heat_maps[0].values.max() == pytest.approx(findings.scores[0].probability, abs=1e-6)


def test_where_nothing_speaks_for_a_class_its_heat_map_is_empty() -> None:
    assert peaking(np.zeros((4, 4), np.float32), 0.7).max() == 0


def test_both_methods_agree_on_a_pooled_and_linear_head_but_for_the_number_of_places() -> None:
    torch.manual_seed(1)
    network = networks.build_for_images(classifier().network, classes=3)
    features = network.features(torch.randn(2, 1, 64, 96)).detach()
    exact, by_gradient = cam(network, features), grad_cam(network, features)
    assert exact.max() > 0
    assert torch.allclose(exact, by_gradient * features.shape[2] * features.shape[3], atol=1e-6)


@pytest.mark.parametrize("mirror", [False, True])
def test_a_heat_map_is_the_same_by_both_methods(tmp_path: Path, mirror: bool) -> None:
    maps = [
        load_for_radiographs(classifier_with_weights(tmp_path / how, heat_map=how, mirror=mirror), "cpu")(chest())
        for how in METHODS
    ]
    assert np.allclose(maps[0].heat_maps[0].values, maps[1].heat_maps[0].values, atol=1e-5)


def test_a_head_that_is_not_linear_has_its_evidence_by_gradient_alone() -> None:
    """Its second feature is bent by a square: evidence for the class is where that feature is."""

    class Bent(nn.Module):
        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return features.mean((2, 3))[:, 1:2] ** 2

    network = ImageNetwork(nn.Identity(), Bent())
    features = torch.zeros(1, 2, 4, 4)
    features[0, 0, 0, 0], features[0, 1, 2, 3] = 9.0, 1.0
    with pytest.raises(ValueError, match="ask for grad_cam"):
        cam(network, features)
    assert grad_cam(network, features)[0, 0].argmax() == 2 * 4 + 3
    assert torch.count_nonzero(grad_cam(network, features)) == 1


def test_a_mirrored_image_has_the_same_answer_where_the_manifest_mirrors(tmp_path: Path) -> None:
    predictor = load_for_radiographs(classifier_with_weights(tmp_path / "tiny", mirror=True), "cpu")
    mirrored = Radiograph(chest().values[:, ::-1].copy(), None, calibrated=False)
    one, other = predictor(chest()), predictor(mirrored)
    assert one.scores[0].probability == pytest.approx(other.scores[0].probability, abs=1e-5)
    assert np.allclose(one.heat_maps[0].values, other.heat_maps[0].values[:, ::-1], atol=1e-4)


@pytest.mark.parametrize(("slope", "offset", "expected"), [(1.0, 0.0, 0.8807971), (0.5, -1.0, 0.5), (1000.0, 0.0, 1.0)])
def test_a_logit_is_calibrated_by_slope_and_offset(slope: float, offset: float, expected: float) -> None:
    assert probability(2.0, Calibration(slope=slope, offset=offset)) == pytest.approx(expected)


def test_an_image_that_makes_the_network_answer_nonsense_is_refused() -> None:
    broken = Radiograph(np.full((64, 64), np.nan, np.float32), None, calibrated=False)
    with pytest.raises(ValueError, match="not finite"):
        bright()(broken)


def test_a_model_of_one_kind_is_not_loaded_as_another() -> None:
    with pytest.raises(PackageError, match="is no classification: its task is patches"):
        load_for_radiographs(find()["phantom_abdomen"], "cpu")
    with pytest.raises(PackageError, match="is no segmentation: its task is classify"):
        segmentation(find()["pneumonia"])
