"""`isocenter models verify`: in a process of its own, because it loads the network."""

import sys
from pathlib import Path

from models.registry import BUILT_IN, PackageError, read
from models.verification import checks
from service.core.errors import IsocenterError
from service.settings import load


def main() -> None:
    """`... verify_package PACKAGE CONFIG [FOLDER ...]`; exit code 1 when anything does not hold.

    CONFIG is the folder of the configuration; each FOLDER holds packages that a chain may be made of.
    """
    failed = 0
    folder, config, *folders = map(Path, sys.argv[1:])
    environment = load(config).environment if (config / "node.yaml").is_file() else None
    for line in checks(read(folder), folders or [BUILT_IN], environment):
        failed += not line.holds
        sys.stdout.write(f"{'ok  ' if line.holds else 'FAIL'}  {line.check}: {line.words}\n")
        sys.stdout.flush()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    try:
        main()
    except (PackageError, IsocenterError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
