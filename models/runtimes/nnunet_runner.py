"""Runs a model folder by nnU-Net's own predictor. Started by path in the environment of nnU-Net, and never imported.

It knows nothing of this project: arguments and lines of JSON come in, lines of JSON and arrays go out. Before it loads
anything it gives up the network and the memory that it must not take.
"""

import argparse
import ctypes
import json
import os
import resource
import shutil
import sys
import threading
import time
from pathlib import Path
from typing import Any, TextIO

_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000  # CLONE_NEWUSER and CLONE_NEWNET of Linux
_WATCH_SECONDS = 0.5
_LONGEST_WORDS = 300
_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser()
    for name in ("--room", "--model", "--configuration", "--folds", "--checkpoint", "--device"):
        parser.add_argument(name, required=True)
    parser.add_argument("--step", type=float, required=True)
    parser.add_argument("--memory-bytes", type=int, default=0)
    for name in ("--gaussian", "--mirror", "--isolated"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("image", type=int)
    parser.add_argument("answer", type=int)
    return parser.parse_args()


def main() -> None:
    """Answer until nobody asks."""
    asked, replies = arguments(), _take_stdout()
    try:
        _confine(asked)
        _watch_parent(asked.room)
        predictor, ready = _ready(asked)
        _say(replies, ready)
        for line in sys.stdin:
            _say(replies, _answered(predictor, json.loads(line), asked))
    except Exception as error:
        _say(replies, _fault(error))
        raise
    finally:
        shutil.rmtree(asked.room, ignore_errors=True)


def _take_stdout() -> TextIO:
    """The way to whoever asks; what libraries print goes to stderr instead."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return replies


def _say(replies: TextIO, words: dict[str, Any]) -> None:
    replies.write(f"{json.dumps(words)}\n")
    replies.flush()


def _fault(error: Exception) -> dict[str, Any]:
    words = f"{error}"[:_LONGEST_WORDS]
    memory = isinstance(error, MemoryError) or any(each in words.lower() for each in _MEMORY)
    return {"fault": "memory" if memory else type(error).__name__, "words": words}


def _confine(asked: argparse.Namespace) -> None:
    """Give up what is not needed, while there is one thread and nothing was loaded."""
    if asked.memory_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (asked.memory_bytes, asked.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the patient's image
    if asked.isolated:
        _leave_the_network()


def _leave_the_network() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    if library.unshare(_NEW_NETWORK) == 0:
        return
    if library.unshare(_NEW_USERS | _NEW_NETWORK):
        raise PermissionError(
            f"this kernel gives the process no network of its own ({os.strerror(ctypes.get_errno())}): allow user "
            "namespaces, or set inferring.nnunet.isolated to false"
        )
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")


def _watch_parent(room: str) -> None:
    """End with whoever asks: nothing must run on when nobody waits for it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        shutil.rmtree(room, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _ready(asked: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """The predictor with its networks, and what they are."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        tile_step_size=asked.step,
        use_gaussian=asked.gaussian,
        use_mirroring=asked.mirror,
        device=torch.device(asked.device),
        allow_tqdm=False,
    )
    folds = [fold if fold == "all" else int(fold) for fold in asked.folds.split(",")]
    predictor.initialize_from_trained_model_folder(asked.model, folds, asked.checkpoint)
    predictor.network.to(predictor.device)
    return predictor, _description(predictor, asked)


def _description(predictor: Any, asked: argparse.Namespace) -> dict[str, Any]:
    """What the checkpoint and its plans say; patch and spacing along the axes of the image that is given."""
    back, plan = predictor.plans_manager.transpose_backward, predictor.configuration_manager
    mirrored = predictor.allowed_mirroring_axes
    is_asked_for = predictor.plans_manager.get_configuration(asked.configuration) is plan
    return {
        "configuration": asked.configuration if is_asked_for else "another one",
        "patch": [int(plan.patch_size[axis]) for axis in back],
        "spacing_mm": [float(plan.spacing[axis]) for axis in back],
        "mirror_axes": sorted(int(axis) for axis in mirrored) if mirrored else [],
        "classes": int(predictor.label_manager.num_segmentation_heads),
    }


def _answered(predictor: Any, question: dict[str, Any], asked: argparse.Namespace) -> dict[str, Any]:
    """Leave the labels in the file of answers, and the probabilities behind them where they are wanted."""
    import numpy as np

    began = time.perf_counter()
    with os.fdopen(os.dup(asked.image), "rb") as file:
        file.seek(0)
        values = np.load(file, allow_pickle=False)
    found = predictor.predict_single_npy_array(
        values[None], {"spacing": question["spacing_mm"]}, None, None, question["probabilities"]
    )
    labels, probabilities = found if question["probabilities"] else (found, None)
    with os.fdopen(os.dup(asked.answer), "wb") as file:
        file.seek(0)
        file.truncate()
        np.save(file, np.asarray(labels, dtype=np.uint8), allow_pickle=False)
        if probabilities is not None:
            np.save(file, np.asarray(probabilities, dtype=np.float32), allow_pickle=False)
    return {"seconds": round(time.perf_counter() - began, 3)}


if __name__ == "__main__":
    main()
