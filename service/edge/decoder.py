"""The process that helps to decode a volume: `python -m service.edge.decoder <parent> <values> <plan> <queue>`.

It loads no torch. It ends when the tasks do, when one fails, and when its parent is gone.
"""

import os
import sys

from service.core.errors import IsocenterError
from service.edge.sharing import mapped, read_plan, told, work_off


def main() -> None:
    """Take tasks until there are none; tell on standard output why one failed."""
    parent, values, plan, queue = map(int, sys.argv[1:])
    tasks, shape = read_plan(plan)
    try:
        work_off(mapped(values, shape), tasks, queue, lambda: os.getppid() == parent)
    except IsocenterError as error:
        sys.stdout.write(told(error))


if __name__ == "__main__":
    main()
