"""`python -m service` and `isocenter`."""

import sys

from service.cli import application
from service.core.errors import IsocenterError


def main() -> None:
    """Run a command; an error of ours is one sentence and exit code 1."""
    try:
        application()
    except IsocenterError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
