"""`isocenter models verify`: in a process of its own, because it loads the network."""

import sys
from pathlib import Path

from models.registry import BUILT_IN, PackageError, read
from models.verification import checks


def main() -> None:
    """`python -m service.commands.verify_package FOLDER [FOLDERS]`; exit code 1 when anything does not hold.

    FOLDER is that of a package, FOLDERS hold the packages that a chain may be made of.
    """
    failed = 0
    folder, *folders = map(Path, sys.argv[1:])
    for line in checks(read(folder), folders or [BUILT_IN]):
        failed += not line.holds
        sys.stdout.write(f"{'ok  ' if line.holds else 'FAIL'}  {line.check}: {line.words}\n")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    try:
        main()
    except PackageError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
