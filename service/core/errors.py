"""Every error of the service, grouped by what is done next.

IsocenterError
├── TryAgain       the same step may succeed later: it is repeated, with back-off
│   ├── Unreached      no association with a peer could be made
│   │   └── NothingAccepted   it accepts no presentation context of those that were offered
│   └── NoRoom         the disk cannot take it now: repeated for as long as that lasts
├── Unsuitable     the input is not for this: it is declined, and the reason is shown
│   └── NotAVolume     the frames do not form a volume; carries the named reason
└── Broken         a person has to look: it is held, and the reason is shown
    ├── ConfigurationError   a file of the site's configuration is wrong
    └── Unproven             a derived object does not say what it should; nothing is sent
"""

import errno

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})  # what the system says of a full disk, and of a full share of one


class IsocenterError(Exception):
    """Something this node can say in one sentence."""


class TryAgain(IsocenterError):  # noqa: N818 - named after what is done next
    """The same step may succeed later."""


class Unreached(TryAgain):
    """No association with a peer could be made: `trouble` is the kind (core/outbox)."""

    def __init__(self, trouble: str, sentence: str) -> None:
        super().__init__(sentence)
        self.trouble = trouble


class NothingAccepted(Unreached):
    """A peer knows us, and accepts no presentation context of those that were offered."""


class NoRoom(TryAgain):
    """The disk cannot take it now."""


class Unsuitable(IsocenterError):  # noqa: N818
    """The input is not for this model."""


class Broken(IsocenterError):  # noqa: N818
    """A person has to look."""


class NotAVolume(Unsuitable):
    """The frames do not form a volume: `reason` is the name, the message is the sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason

    def __reduce__(self) -> tuple[type["NotAVolume"], tuple[str, str]]:
        return (type(self), (self.reason, str(self)))


class ConfigurationError(Broken):
    """A file of the site's configuration is wrong; the message names file, line and cure."""


class Unproven(Broken):
    """A derived object, read back from its bytes, does not say what it should; `objects` are those that are held."""

    objects: tuple[bytes, ...] = ()


def whereabouts(error: BaseException) -> str:
    """An unknown error's type, the system's code of it where it has one, and the last places it came through.

    Its own words may quote a patient's data.
    """
    places: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        place = trace.tb_frame.f_code
        places.append(f"{'/'.join(place.co_filename.split('/')[-2:])}:{trace.tb_lineno}")
        trace = trace.tb_next
    code = errno.errorcode.get(error.errno or 0) if isinstance(error, OSError) else None
    name = f"{type(error).__name__} {code}" if code else type(error).__name__
    return f"{name} at {' > '.join(places[-3:])}"
