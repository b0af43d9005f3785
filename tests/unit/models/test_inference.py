"""From a package to findings on the volume's own grid."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.inference import load, pick_device
from models.tasks import patches
from models.volume import Volume
from tests import factories
from tests.unit.models.packages import with_weights, written


def test_findings_lie_on_the_grid_of_the_volume_and_are_measured_there(tmp_path: Path) -> None:
    package = with_weights(tmp_path / "tiny")
    volume = factories.volume(factories.grid("oblique", shape=(11, 40, 36), spacing_mm=(4.0, 1.5, 1.5)))
    findings = load(package, "cpu")(volume)
    assert findings.grid is volume.grid
    (liver,) = findings.regions
    assert liver.voxels == np.count_nonzero(findings.layers[0].labels == 1)
    assert liver.volume_ml == pytest.approx(liver.voxels * 4.0 * 1.5 * 1.5 / 1000)


def test_what_the_manifest_asks_for_is_measured_of_what_the_planes_can_show(tmp_path: Path) -> None:
    asking = written()["labels"][0] | {"measure": ["attenuation", "probability"]}
    package = with_weights(tmp_path / "tiny", labels=[asking])
    volume = factories.volume()
    places = (0.0, 1.0, 2.0, 5.0, 6.0, 9.0, 11.0)

    findings = load(package, "cpu")(volume, places)

    (region,) = findings.regions
    assert findings.places == places
    assert region.measurements[0].value == pytest.approx(volume.values[findings.mask(region)].mean(), abs=1e-3)
    assert region.probability is not None
    assert 0.4 < region.probability < 1  # fresh weights are not sure of anything


def test_findings_say_which_weights_they_came_from(tmp_path: Path) -> None:
    package = with_weights(tmp_path / "tiny")
    algorithm = load(package, "cpu")(factories.volume()).algorithm
    assert (algorithm.name, algorithm.version) == ("Tiny", "1.0.0")
    assert algorithm.weights_sha256 == package.manifest.weights_sha256


def test_asking_twice_gives_the_same_labels(tmp_path: Path) -> None:
    predictor = load(with_weights(tmp_path / "tiny"), "cpu")
    first, second = (predictor(factories.volume()).layers[0].labels for _ in range(2))
    assert np.array_equal(first, second)


def test_a_volume_that_makes_the_network_answer_nonsense_is_refused(tmp_path: Path) -> None:
    volume = factories.volume()
    broken = Volume(volume.grid, np.full_like(volume.values, np.nan))
    with pytest.raises(ValueError, match="not finite"):
        load(with_weights(tmp_path / "tiny"), "cpu")(broken)


def test_a_device_that_is_too_small_is_short_of_memory_and_not_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("no room for 9 GiB")

    predictor = load(with_weights(tmp_path / "tiny"), "cpu")
    monkeypatch.setattr(patches, "probabilities", out_of_memory)
    with pytest.raises(MemoryError, match="9 GiB"):
        predictor(factories.volume())


def test_auto_is_the_gpu_where_there_is_one() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_wanting_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="cuda is wanted"):
        pick_device("cuda")
