"""Model folders of nnU-Net for tests, with checkpoints that hold nothing, and stand-ins for its environment."""

import json
import sys
import venv
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np

from models.adoption.adopting import adopt
from models.environment import Environment
from models.registry import Package
from tests.unit.models.adoption.foreign import said as said_by_a_person

FOLDER = "nnUNetTrainer__nnUNetPlans__3d_fullres"
NUMPY = Path(np.__file__).parents[1]
PREDICTOR = """
    import sys, types
    from pathlib import Path
    import numpy as np

    class nnUNetPredictor:
        def __init__(self, device, **options):
            self.device, self.options, self.network = device, options, types.SimpleNamespace(to=lambda device: None)

        def initialize_from_trained_model_folder(self, folder, folds, checkpoint):
            assert (Path(folder) / f"fold_{folds[0]}" / checkpoint).read_bytes() == b"a pickle"
            plan = types.SimpleNamespace(patch_size=[16, 16, 16], spacing=[3.0, 2.0, 1.0])
            self.configuration_manager = plan
            same = {'transpose_backward': [0, 1, 2], 'get_configuration': lambda name: plan}
            self.plans_manager = types.SimpleNamespace(**same)
            self.label_manager = types.SimpleNamespace(num_segmentation_heads=2)
            self.allowed_mirroring_axes = (0, 1, 2)

        def predict_single_npy_array(self, image, properties, previous, output, probabilities):
            print("what libraries print")
            SPECIAL
            labels = (image[0] > 100).astype(np.uint8)
            return (labels, np.stack([1.0 - labels, labels])) if probabilities else labels
"""


def folder(into: Path, dataset: dict[str, Any] | None = None, plans: dict[str, Any] | None = None, **plan: Any) -> Path:
    """A model folder as nnU-Net writes it, with changes."""
    source = into / FOLDER
    (source / "fold_0").mkdir(parents=True)
    configuration = {
        "patch_size": [16, 16, 16],
        "spacing": [3.0, 2.0, 1.0],
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {"conv_op": "torch.nn.modules.conv.Conv3d", "dropout_op": None},
            "_kw_requires_import": ["conv_op", "dropout_op"],
        },
    }
    said_of_data = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1}} | (dataset or {})
    written = {
        "configurations": {"2d": {"patch_size": [16, 16], "spacing": [1, 1]}, "3d_fullres": configuration | plan},
        "image_reader_writer": "SimpleITKIO",
        "transpose_backward": [0, 1, 2],
    } | (plans or {})
    (source / "dataset.json").write_text(json.dumps(said_of_data), encoding="utf-8")
    (source / "plans.json").write_text(json.dumps(written), encoding="utf-8")
    (source / "fold_0" / "checkpoint_final.pth").write_bytes(b"a pickle")
    return source


def adopted(into: Path, **labels: Any) -> Package:
    """A package of such a folder; what a person says of its one label may be changed."""
    words = said_by_a_person(into, "preprocessing", "inference", **labels)
    return adopt(folder(into / "source"), into / "site", "tiny", said=words)


def environment(into: Path, package: Package, special: str = "pass", **changes: Any) -> Environment:
    """A Python whose nnU-Net marks what is brighter than 100, after it has done something special."""
    root = into / "environment"
    venv.create(root, with_pip=False, symlinks=True)
    packages = next((root / "lib").glob("python*")) / "site-packages"
    (packages / "numpy.pth").write_text(f"{NUMPY}\n", encoding="utf-8")
    for name in ("nnunetv2", "nnunetv2/inference"):
        (packages / name).mkdir()
        (packages / name / "__init__.py").touch()
    (packages / "torch.py").write_text("def device(name): return name\n", encoding="utf-8")
    program = dedent(PREDICTOR).replace("SPECIAL", special)
    (packages / "nnunetv2" / "inference" / "predict_from_raw_data.py").write_text(program, encoding="utf-8")
    allowed = frozenset({package.manifest.weights_sha256})
    said = Environment(root / "bin" / Path(sys.executable).name, allowed, seconds=60.0)
    return replace(said, **changes)
