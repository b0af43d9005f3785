"""A Series while it arrives: what came of it, and the parts it makes as it stands."""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain

from service.core.completeness import Looks, looks
from service.core.entities import Instance, Reason, Refusal, whole
from service.core.errors import whereabouts
from service.core.stacking import Part, split


class ArrivingSeries:
    """The instances of one Series that is not closed as it now stands."""

    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}
        self.last_at = datetime.min.replace(tzinfo=UTC)
        self.unreadable: set[str] = set()
        self.released: set[str] = set()  # associations
        self._parts: tuple[Part, ...] = ()
        self._looks: Looks | None = None

    def add(self, instance: Instance, arrived_at: datetime) -> None:
        """One more instance."""
        self.instances[instance.sop_instance_uid] = instance
        self.last_at = max(self.last_at, arrived_at)
        self._parts, self._looks = (), None

    @property
    def unreleased(self) -> set[str]:
        """The associations that brought some of it and are not known to have been released."""
        return {instance.association for instance in self.instances.values()} - self.released

    def parts(self) -> tuple[Part, ...]:
        """The stacks and refusals of what is here, worked out once per arrival."""
        instances = tuple(self.instances.values())
        if self.unreadable:
            sentence = f"{len(self.unreadable)} more cannot be read and lie in held/: send them again"
            return (_refused(instances, Reason.UNREADABLE, sentence),)
        self._parts = self._parts or _split(instances)
        return self._parts

    def looks(self) -> Looks:
        """What is here looks like, worked out once per arrival."""
        if self.unreadable or self._looks is None:
            self._looks = looks(self.parts(), tuple(self.instances.values()))
        return self._looks


def _split(instances: tuple[Instance, ...]) -> tuple[Part, ...]:
    try:
        return split(instances)
    except Exception as error:  # one Series that we cannot take apart must not hold up the others
        sentence = f"an error of this node, to be reported: {whereabouts(error)}"
        return (_refused(instances, Reason.ASSEMBLING_FAILED, sentence),)


def _refused(instances: Iterable[Instance], reason: Reason, sentence: str) -> Refusal:
    return Refusal(tuple(chain.from_iterable(map(whole, instances))), reason, sentence)
