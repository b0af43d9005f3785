"""Trains a small model with nnU-Net's own classes, in its environment: `python make_model.py FOLDER`.

An ellipsoid lies in noise. Which label a voxel of it has depends on where in the ellipsoid it lies, along every axis of
the body: right half 1; of the left half the front 2, and of what is behind that the upper part 3 and the lower part 4.
So a model that is shown an image mirrored or with its axes exchanged cannot be right.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from torch.nn import functional as F

NAME, CONFIGURATION = "nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres", "3d_fullres"
PATCH, SPACING_MM = (16, 20, 24), (3.0, 2.5, 2.0)  # z, y, x
LABELS = {"background": 0, "right": 1, "left front": 2, "left upper": 3, "left lower": 4}
STEPS, CASES = 360, 12
RADII_MM = np.array([14.0, 11.0, 12.0])
_RESAMPLING = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}


def phantom(seed: int) -> tuple[Any, Any]:
    """Values and labels on the network's grid, whose axes run to Superior, Anterior, Right."""
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*map(np.arange, PATCH), indexing="ij"), axis=-1) * SPACING_MM
    middle = np.array(PATCH) * SPACING_MM / 2 + random.uniform(-7, 7, 3)
    upper, front, right = np.moveaxis((places - middle) / (RADII_MM * random.uniform(0.8, 1.1, 3)), -1, 0)
    inside = upper**2 + front**2 + right**2 <= 1
    labels = np.where(right >= 0, 1, np.where(front >= 0, 2, np.where(upper >= 0, 3, 4))) * inside
    return (inside * 100.0 + random.normal(0, 15, PATCH)).astype(np.float32), labels.astype(np.int64)


_STAGES = 3
_ARCHITECTURE: dict[str, Any] = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": _STAGES,
        "features_per_stage": [8, 16, 32],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * _STAGES,
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "n_conv_per_stage": [2] * _STAGES,
        "n_conv_per_stage_decoder": [2] * (_STAGES - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}


def plans() -> dict[str, Any]:
    """The plans, as its planner writes them."""
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(PATCH),
        "median_image_size_in_voxels": list(map(float, PATCH)),
        "spacing": list(SPACING_MM),
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": _RESAMPLING | {"order": 3},
        "resampling_fn_seg_kwargs": _RESAMPLING | {"is_seg": True},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": _RESAMPLING,
        "architecture": _ARCHITECTURE,
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset001_Ellipsoid",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(SPACING_MM),
        "original_median_shape_after_transp": list(PATCH),
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {CONFIGURATION: configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {"mean": 100.0, "std": 15.0}},
    }


def trained(manager: PlansManager, dataset: dict[str, Any]) -> Any:
    """The network after a short training on what nnU-Net's preprocessor makes of the phantoms."""
    configuration = manager.get_configuration(CONFIGURATION)
    network = nnUNetTrainer.build_network_architecture(
        manager, configuration, 1, len(LABELS), enable_deep_supervision=False
    )
    preprocessor = DefaultPreprocessor(verbose=False)
    images, truths = [], []
    for seed in range(CASES):
        values, labels = phantom(seed)
        properties = {"spacing": list(SPACING_MM)}
        prepared, _, _ = preprocessor.run_case_npy(values[None], None, properties, manager, configuration, dataset)
        images.append(torch.as_tensor(np.asarray(prepared)))
        truths.append(torch.from_numpy(labels))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(STEPS):
        case = step % CASES
        weights = torch.tensor([1.0, 3.0, 3.0, 3.0, 3.0])
        loss: Any = F.cross_entropy(network(images[case][None]), truths[case][None], weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.3f}")
    return network


def main() -> None:
    """Write the model folder below a folder."""
    torch.set_num_threads(1)  # a small network is no faster on more
    torch.manual_seed(0)
    folder = Path(sys.argv[1]) / NAME
    (folder / "fold_0").mkdir(parents=True)
    dataset = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": CASES, "file_ending": ".nii.gz"}
    written = plans()
    (folder / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
    (folder / "plans.json").write_text(json.dumps(written), encoding="utf-8")
    (folder / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
    checkpoint = {
        "network_weights": trained(PlansManager(written), dataset).state_dict(),
        "optimizer_state": {},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": None,
        "init_args": {"configuration": CONFIGURATION, "fold": 0, "dataset_json": dataset},
        "logging": {"when": np.float64(0.0)},  # as in those that nnU-Net writes: more than tensors
    }
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")


if __name__ == "__main__":
    main()
