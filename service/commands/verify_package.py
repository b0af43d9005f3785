"""`isocenter models verify`: in a process of its own, because it loads the network."""

import sys
from pathlib import Path

from models.registry import PackageError, read
from models.verification import checks
from service.commands.models import environment, folders
from service.core.errors import IsocenterError


def main() -> None:
    """`... verify_package <folder of a package> <configuration folder>`; exit code 1 when anything does not hold."""
    failed, package, config = 0, read(Path(sys.argv[1])), Path(sys.argv[2])
    for line in checks(package, folders(config), environment(config)):
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
