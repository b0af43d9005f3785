"""The proof of a notice that a model did not run: it says these words of this Series, and nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import BasicTextSRStorage, SecondaryCaptureImageStorage

from service.derived import content_tree
from service.derived.checks import prove_file, prove_identity, prove_required_attributes, same


def prove_notice_report(report: Dataset, sources: Sequence[Dataset], texts: Sequence[str]) -> None:
    """Raise Unproven unless the report says these texts, in this order, of the first source's Series."""
    prove_file(report, BasicTextSRStorage)
    prove_identity(report, sources)
    prove_required_attributes(report)
    same("evidence", content_tree.evidence(report), {sources[0].SOPInstanceUID})
    same("texts", content_tree.contained(report, "TEXT", "TextValue"), list(texts))
    same("series", content_tree.contained(report, "UIDREF", "UID"), [sources[0].SeriesInstanceUID])


def prove_notice_picture(picture: Dataset, sources: Sequence[Dataset], drawn: NDArray[np.uint8]) -> None:
    """Raise Unproven unless the picture shows the page that was drawn, (row, column)."""
    prove_file(picture, SecondaryCaptureImageStorage)
    prove_identity(picture, sources)
    prove_required_attributes(picture)
    same("source image", picture.ReferencedImageSequence[0].ReferencedSOPInstanceUID, sources[0].SOPInstanceUID)
    same("shape", (picture.BitsAllocated, picture.Rows, picture.Columns), (8, *drawn.shape))
    wrong = int(np.count_nonzero(np.frombuffer(picture.PixelData, np.uint8)[: drawn.size] != drawn.ravel()))
    same("pixels that differ from the page", wrong, 0)
