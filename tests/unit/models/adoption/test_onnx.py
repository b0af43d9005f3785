"""An ONNX graph of other makers is run by onnxruntime as any network, or refused by name."""

import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from models.adoption.adopting import adopt
from models.inference import load
from models.packaging import install, pack
from models.preprocessing import to_network, to_source
from models.registry import BUILT_IN, PackageError, read, segmentation
from models.verification import checks
from tests import factories
from tests.unit.models.adoption.foreign import said
from tests.unit.models.adoption.graphs import graph

KERNELS = np.random.default_rng(5).normal(size=(2, 1, 3, 3, 3)).astype(np.float32)
needs_onnxruntime = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="the extra onnx is not installed")


def source(folder: Path, window: Sequence[int | str] = ("z", "y", "x"), **changes: Any) -> Path:
    path = folder / "foreign.onnx"
    path.write_bytes(graph(KERNELS, window, **changes))
    return path


@needs_onnxruntime
@pytest.mark.parametrize(
    ("window", "images"), [(("z", "y", "x"), "n"), ((16, 16, 16), 1)], ids=["open sizes", "one image of fixed size"]
)
def test_a_graph_is_adopted_and_answers_as_the_same_convolution_in_torch(
    tmp_path: Path, window: Sequence[int | str], images: int | str
) -> None:
    whole = {"patch": [16, 16, 16], "overlap": 0.5, "padding": "constant"}
    package = adopt(source(tmp_path, window, images=images), tmp_path / "site", said=said(tmp_path, inference=whole))
    assert [line for line in checks(package) if not line.holds] == []
    volume = factories.volume(factories.grid("oblique", shape=(9, 22, 22), spacing_mm=(4.0, 2.0, 2.0)))

    prepared = to_network(volume, segmentation(package).preprocessing)
    assert max(prepared.grid.shape) <= 16  # one window, beyond which there is nothing
    margins = [(0, 0, *_margins(count)) for count in prepared.grid.shape]
    padded = np.pad(prepared.values, [margin[2:] for margin in margins])
    logits = F.conv3d(torch.from_numpy(padded)[None, None], torch.from_numpy(KERNELS), padding=1).softmax(1)[0].numpy()
    inside = tuple(slice(first, 16 - last) for *_, first, last in margins)
    expected = to_source(np.ascontiguousarray(logits[(slice(None), *inside)]), prepared)

    found = load(package, "cpu")(volume).layers[0].labels
    assert 0 < np.count_nonzero(expected.labels) < expected.labels.size
    assert np.mean(found == expected.labels) > 0.999  # ties aside


@needs_onnxruntime
def test_a_package_with_a_graph_travels_as_any_other(tmp_path: Path) -> None:
    package = adopt(source(tmp_path), tmp_path / "site", "graph", said(tmp_path))
    installed = install(pack(package, tmp_path), tmp_path / "other")
    assert installed.weights.read_bytes() == package.weights.read_bytes()
    assert load(installed, "cpu")


@needs_onnxruntime
def test_a_graph_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    package = adopt(source(tmp_path), tmp_path / "site", "graph", said(tmp_path))
    package.weights.write_bytes(graph(KERNELS + 1, ("z", "y", "x")))
    with pytest.raises(PackageError, match="has SHA-256"):
        load(package, "cpu")


@pytest.mark.parametrize(
    ("window", "changes", "complaint"),
    [
        pytest.param((16, 16, 8), {}, r"image is \['n', 1, 16, 16, 8\], and the manifest wants", id="other window"),
        pytest.param((16, 16), {}, "one image goes in and one answer comes out", id="two dimensions"),
    ],
)
@needs_onnxruntime
def test_a_graph_that_does_not_take_the_manifests_windows_is_refused(
    tmp_path: Path, window: Sequence[int], changes: dict[str, Any], complaint: str
) -> None:
    kernels = KERNELS if len(window) == 3 else KERNELS[:, :, 0]
    path = tmp_path / "foreign.onnx"
    path.write_bytes(graph(kernels, window, **changes))
    with pytest.raises(PackageError, match=complaint):
        adopt(path, tmp_path / "site", said=said(tmp_path))
    assert not (tmp_path / "site" / "foreign").exists()


def test_a_graph_whose_tensors_lie_in_other_files_is_refused_unopened(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="keeps tensors in other files"):
        adopt(source(tmp_path, elsewhere="../secret"), tmp_path / "site", said=said(tmp_path))


@needs_onnxruntime
def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "foreign.onnx"
    path.write_bytes(b"\x80\x04K\x01.")  # a pickle
    with pytest.raises(PackageError, match="is no graph that onnxruntime takes"):
        adopt(path, tmp_path / "site", said=said(tmp_path))


def test_without_the_extra_the_package_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(PackageError, match=r"pip install isocenter\[onnx\]"):
        adopt(source(tmp_path), tmp_path / "site", said=said(tmp_path))


def test_a_graph_is_not_for_weights_under_another_name(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="lacks"):
        adopt(source(tmp_path), tmp_path / "site", "graph", said(tmp_path, "labels"))
    path = tmp_path / "site" / "graph" / "manifest.yaml"
    text = path.read_text(encoding="utf-8").replace("name: onnx", "name: meshnet\n  width: 2\n  dilations: [1]")
    path.write_text(text.replace("# labels:", "labels:"), encoding="utf-8")
    with pytest.raises(PackageError, match=r"weights are one \.safetensors file"):
        load(read(path.parent), "cpu")


def test_no_other_package_loads_onnxruntime() -> None:
    program = (
        "import sys; from pathlib import Path; from models.inference import load; from models.registry import read;"
        f"load(read(Path({str(BUILT_IN / 'hippocampus')!r})), 'cpu'); assert 'onnxruntime' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=BUILT_IN.parents[1])


def _margins(count: int) -> tuple[int, int]:
    """How a window of 16 lies about an image that is smaller: as MONAI pads it."""
    return (16 - count) // 2, 16 - count - (16 - count) // 2
