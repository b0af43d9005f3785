"""What training writes into a package: its weights, and the lines of its manifest that follow from them."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from models.registry import MANIFEST, Package, PackageError, digest, read

DIGEST_LINE = re.compile(r"(?m)^(\s*sha256:\s*).*$")


def publish(package: Package, weights: Path) -> Package:
    """The package with these weights in it, and their digest in its manifest."""
    shutil.copyfile(weights, package.weights)
    return rewritten(package, DIGEST_LINE, [digest(package.weights)])


def rewritten(package: Package, line: re.Pattern[str], values: Sequence[str]) -> Package:
    """The package with these values after the lines of its manifest that match, in their order; all else stays.

    Raises PackageError when there are not as many lines as values.
    """
    path, left = package.folder / MANIFEST, list(values)
    written = path.read_text(encoding="utf-8")
    if len(line.findall(written)) != len(values):
        raise PackageError(f"{path} needs {len(values)} lines that match {line.pattern!r}, to be written by training")
    path.write_text(line.sub(lambda match: match[1] + left.pop(0), written), encoding="utf-8")
    return read(package.folder)
