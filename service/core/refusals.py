"""What is said of frames that were not analysed, so that silence never looks like "normal"."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from service.core.entities import FrameReference, Reason


class SayWhyNot(StrEnum):
    """What a rule's destinations get when its model does not run on what the rule wanted."""

    NONE = "none"
    REPORT = "report"
    PICTURE = "picture"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """Frames that are no volume, as they lie in the spool between the stages."""

    stack_id: str
    series_instance_uid: str
    study_instance_uid: str
    frames: tuple[FrameReference, ...]
    reason: Reason
    sentence: str
    received_at: datetime  # when the last of its instances arrived

    @property
    def sop_instance_uids(self) -> tuple[str, ...]:
        """The instances it has frames of, each once."""
        return tuple(dict.fromkeys(frame.sop_instance_uid for frame in self.frames))

    @property
    def why(self) -> str:
        """The reason's name and sentence."""
        return f"{self.reason}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Notice:
    """That a model did not run: which one, why, what to do, and in which form it is said."""

    model_title: str
    why: str
    cure: str
    say: SayWhyNot


# Nobody expects an answer for these, or one object cannot belong to all of their patients and studies.
NEVER_TOLD = {
    Reason.MADE_BY_THIS_NODE,
    Reason.NOT_AN_IMAGE,
    Reason.LOCALIZER,
    Reason.SEVERAL_PATIENTS,
    Reason.SEVERAL_STUDIES,
}

_READ_WITHOUT = "Read this series without the model."
CURE_OF_UNSUITED = f"{_READ_WITHOUT} It runs on the images that it was validated on, and on no others."
_SEND_AGAIN = (
    "Send the whole series again: it is analysed once every image is there. Until then, read it without the model."
)
_CURES = {
    Reason.HOLE: _SEND_AGAIN,
    Reason.INCOMPLETE: _SEND_AGAIN,
    Reason.IRREGULAR_SPACING: _SEND_AGAIN,
    Reason.TOO_FEW_SLICES: _SEND_AGAIN,
    Reason.UNREADABLE: _SEND_AGAIN,
    Reason.PIXELS_MISSING: _SEND_AGAIN,
    Reason.ASSEMBLING_FAILED: f"{_READ_WITHOUT} Tell whoever looks after this node: its log has the details.",
}


def cure_of(reason: Reason) -> str:
    """What a reader can do about frames that are no volume."""
    return _CURES.get(reason, f"{_READ_WITHOUT} Whoever looks after the scanner can look into the reason.")


def together(first: SayWhyNot, second: SayWhyNot) -> SayWhyNot:
    """What fulfils both of two rules that say why not."""
    return first if first is second else SayWhyNot.BOTH
