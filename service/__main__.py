"""`python -m service` and `isocenter`."""

import os
import sys

from service.cli import application_for
from service.core.errors import IsocenterError
from service.roles.life import OWNER_ONLY


def main() -> None:
    """Run a command; an error of ours is one sentence and exit code 1."""
    os.umask(OWNER_ONLY)
    try:
        application_for(sys.argv[1:])()
    except (IsocenterError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
