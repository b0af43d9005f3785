"""What Isocenter makes of real images: `python benchmarks/real_images.py ../shared/data --write docs/real-images.md`.

One row for each part of each Series in every folder that holds DICOM files; where the folder's collection has the same
images as NIfTI, made by another program, the stack is compared with them voxel by voxel.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from models.nifti import RAS_TO_LPS
from models.volume import Volume
from service.commands.survey import Found, look, survey
from service.core.errors import Broken

# Folder of DICOM files -> the same images as NIfTI, both below the root
REFERENCES: Mapping[str, Sequence[str]] = {
    "ct_ibsi1_lung_phantom/dicom/image": ("ct_ibsi1_lung_phantom/nifti/image/phantom.nii.gz",),
    **{
        f"dicom2nifti_generic_ts/{folder}": (f"dicom2nifti_generic_ts/{folder}_ground_truth.nii.gz",)
        for folder in (
            "anatomical/001",
            "anatomical/002_non_isotropic",
            "compressed/001",
            "compressed_j2k/001",
            "compressed_jpeg/001",
            "compressed_jpegls/001",
            "compressed_rle/001",
        )
    },
    "mr_enhanced/dcm_qa_enh/In/Siemens/XA10": ("mr_enhanced/dcm_qa_enh/Ref/Siemens_REST1_w_SMS_PF7-8_6.nii",),
    "mr_enhanced/dcm_qa_enh/In/Philips": (
        "mr_enhanced/dcm_qa_enh/Ref/Philips_WIP_B0_NS_801_e1.nii",
        "mr_enhanced/dcm_qa_enh/Ref/Philips_WIP_B0_NS_801_e2_fieldmaphz.nii",
    ),
}
AFFINE_MM = 1e-3
_HEADING = """| Series | modality | frames | part | told apart by | beside the reference |
| --- | --- | ---: | --- | --- | --- |"""
_INTRODUCTION = """# What Isocenter makes of real images

Made by `python benchmarks/real_images.py DATA --write docs/real-images.md`; nothing here is written by hand. A stack is
described by its plane, slices x rows x columns and the distances between them; what is no stack, by the reason."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A volume by another program, with its axes along R, A and S."""

    affine: NDArray[np.float64]
    values: NDArray[np.float64]


def references(root: Path, folder: str) -> Iterator[Reference]:
    """The volumes that the images of a folder are to be compared with; one for each time where there are several."""
    for name in REFERENCES.get(folder, ()):
        image = nibabel.as_closest_canonical(nibabel.load(root / name))
        values = np.asarray(image.dataobj, dtype=np.float64)
        for volume in values.reshape(*values.shape[:3], -1).transpose(3, 0, 1, 2):
            yield Reference(image.affine, volume)


def beside(volume: Volume, candidates: Sequence[Reference]) -> str:
    """How the volume compares with the candidate it is most like."""
    affine = (RAS_TO_LPS @ volume.grid.affine)[:, [2, 1, 0, 3]]
    ours = nibabel.as_closest_canonical(nibabel.Nifti1Image(volume.values.transpose(2, 1, 0), affine))
    values = np.asarray(ours.dataobj, dtype=np.float64)
    alike = [each for each in candidates if each.values.shape == values.shape]
    if not alike:
        return f"**no reference of shape {values.shape}**"
    nearest = min(alike, key=lambda each: float(np.abs(_standardised(each.values) - _standardised(values)).mean()))
    return f"{_place(ours.affine, nearest.affine)}; {_content(values, nearest.values)}"


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / max(float(values.std()), 1e-12))


def _place(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> str:
    difference = float(np.abs(ours - theirs).max())
    return (
        f"affine within {difference:.1e} mm" if difference <= AFFINE_MM else f"**affine differs by {difference:g} mm**"
    )


def _content(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> str:
    if np.array_equal(ours.astype(np.float32), theirs.astype(np.float32)):
        return "values equal"
    worst = float(np.abs(ours - theirs).max())
    if worst <= 1e-6 * max(float(np.abs(theirs).max()), 1e-12):
        return f"values within {worst:.1e}"
    if float(np.abs(_standardised(ours) - _standardised(theirs)).max()) < 1e-3:
        return "values equal but for scale: the reference applies the vendor's private scale slope"
    return f"**values differ by up to {worst:g}**"


def rows(root: Path, folder: str) -> Iterator[str]:
    """The table's rows for one folder."""
    seen = look(root / folder, deep=False)
    candidates = list(references(root, folder))
    for found, image in survey(seen):
        compared = beside(image, candidates) if isinstance(image, Volume) and candidates else ""
        yield _row(found, compared)
    for reason, count in seen.unreadable.items():
        yield f"| | | {count} | left out: {reason} | | |"


def _row(found: Found, compared: str) -> str:
    name = found.series_description or f"...{found.series_instance_uid[-8:]}"
    cells = (name, found.modality, str(found.frames), found.what, found.split_by, compared)
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def page(root: Path) -> Iterator[str]:
    """The whole page."""
    yield _INTRODUCTION
    for folder in sorted({path.parent for path in root.rglob("*") if path.is_file()}):
        name = folder.relative_to(root).as_posix()
        try:
            found = list(rows(root, name))
        except Broken:
            continue  # no DICOM file in it
        yield f"\n## {name}\n\n{_HEADING}"
        yield from found


def main() -> int:
    """Print the page, or write it; 1 when a stack does not agree with its reference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    text = "\n".join(page(options.root)) + "\n"
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return int("**" in text)


if __name__ == "__main__":
    sys.exit(main())
