"""Volumes over time: two measured results become what has changed between them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from models.findings import Change, Findings, Measurement
from models.measurement import CUBIC_CENTIMETRE, VOLUME
from models.sections import Label
from models.terms import Code, Term
from service.core.priors import CUBIC_CENTIMETRES, Followed, Following, MeasuredVolume, Prior, Result, key_of_codes

DAYS_PER_YEAR = 365.25
FEWEST_DAYS = 30  # apart: below that a change per year is noise made large
SAME_SIZE = 0.25  # of the volume: by as much may a lesion differ that was measured twice on one day
PERCENT = Code(value="%", scheme="UCUM", meaning="Percent")
CUBIC_CENTIMETRE_PER_YEAR = Code(value="cm3/a", scheme="UCUM", meaning="cubic centimeter per year")

# No scheme has codes for these.
VOLUME_DIFFERENCE = Code(value="VOLDIFF", scheme="99ISOCENTER", meaning="Volume difference from earlier study")
VOLUME_DIFFERENCE_PERCENT = Code(
    value="VOLDIFFPCT", scheme="99ISOCENTER", meaning="Volume difference in percent of earlier volume"
)
VOLUME_DIFFERENCE_PER_YEAR = Code(value="VOLDIFFYEAR", scheme="99ISOCENTER", meaning="Volume difference per year")

LARGER = Code(value="15454001", scheme="SCT", meaning="Increase in size")
SMALLER = Code(value="19776001", scheme="SCT", meaning="Decrease in size")
UNCHANGED = Code(value="260388006", scheme="SCT", meaning="No change")
NEW = Code(value="129721008", scheme="SCT", meaning="New finding")
GONE = Code(value="413322009", scheme="SCT", meaning="Problem resolved")

OUTSIDE = "Its place is not inside of both images: it may have been there unseen."


@dataclass(frozen=True, slots=True)
class Interval:
    """Between which results volumes are compared: the earlier one, the version that measures now, days in between."""

    result: Result
    version: str
    earlier_day: date
    days: int

    @property
    def remark(self) -> str:
        """What a reader has to know of all that is compared."""
        if self.result.version == self.version:
            return ""
        return f"Earlier by version {self.result.version} of the model, now by {self.version}."


def compared(
    findings: Findings, prior: Prior | None, version: str, study_date: date | None, following: Following | None = None
) -> Findings:
    """The findings with the changes since the prior, or with the reason why there are none to tell.

    `following` says which lesions of the two are the same.
    """
    if prior is None or not findings.regions:
        return findings
    if prior.result is None:
        return replace(findings, not_compared=prior.why_not)
    earlier_day = prior.result.subject.study_date
    if study_date is None or earlier_day is None:
        return findings
    interval = Interval(prior.result, version, earlier_day, (study_date - earlier_day).days)
    changes = tuple(_changes(findings, interval, following or Following(())))
    return replace(findings, changes=(*findings.changes, *changes))


def volumes(findings: Findings) -> tuple[MeasuredVolume, ...]:
    """What later studies are compared with: the volume of each region, found or not."""
    return tuple(
        MeasuredVolume(structure_key(each.label), each.lesion, each.volume_ml, CUBIC_CENTIMETRES)
        for each in findings.regions
    )


def structure_key(label: Label) -> str:
    """The codes of a structure: what it is called by may change between versions of a model."""
    codes = [label.type, *([label.modifier] if label.modifier else [])]
    return key_of_codes([(code.value, code.scheme) for code in codes])


def differences(before_ml: float, after_ml: float, days: int) -> tuple[Measurement, ...]:
    """The change of a volume: in ml, in percent where there was one, and per year where time enough has passed."""
    difference_ml = after_ml - before_ml
    said = [Measurement(VOLUME_DIFFERENCE, difference_ml, CUBIC_CENTIMETRE)]
    if before_ml > 0:
        said.append(Measurement(VOLUME_DIFFERENCE_PERCENT, 100 * difference_ml / before_ml, PERCENT))
    if days >= FEWEST_DAYS:
        per_year = difference_ml * DAYS_PER_YEAR / days
        said.append(Measurement(VOLUME_DIFFERENCE_PER_YEAR, per_year, CUBIC_CENTIMETRE_PER_YEAR))
    return tuple(said)


def _changes(findings: Findings, interval: Interval, following: Following) -> Iterator[Change]:
    """For each structure that both looked for, one of the whole and one of each lesion.

    What neither found has not changed.
    """
    now = volumes(findings)
    for key, label in {structure_key(region.label): region.label for region in findings.regions}.items():
        before_ml, after_ml = _total_ml(interval.result.volumes, key), _total_ml(now, key)
        if before_ml is None or not (after_ml or before_ml):
            continue
        whole = _change(label, label.name, (before_ml, after_ml or 0.0), interval)
        if label.lesions and following.why_not:
            whole = _remarked(whole, f"The lesions are not matched one by one: {following.why_not}.")
        yield whole
        for group in following.groups:
            if group.structure == key:
                yield _of_lesions(label, group, now, interval)


def _of_lesions(label: Label, group: Followed, now: Sequence[MeasuredVolume], interval: Interval) -> Change:
    """One lesion that was found again, or several that became one or fell apart, or one that is new or gone."""
    before_ml = _lesions_ml(interval.result.volumes, label, group.before)
    after_ml = _lesions_ml(now, label, group.now)
    change = _change(label, _name(label, group), (before_ml, after_ml), interval)
    is_in_doubt = not group.in_both_images and not (group.now and group.before)
    if is_in_doubt:
        return _remarked(change, OUTSIDE)
    if len(group.now) > 1 or len(group.before) > 1:
        change = _remarked(change, f"Lesions now: {len(group.now)}; in the same place earlier: {len(group.before)}.")
    return replace(change, size=_size(group, before_ml, after_ml))


def _size(group: Followed, before_ml: float, after_ml: float) -> Code:
    if not group.before:
        return NEW
    if not group.now:
        return GONE
    if abs(after_ml - before_ml) <= SAME_SIZE * before_ml:
        return UNCHANGED
    return LARGER if after_ml > before_ml else SMALLER


def _name(label: Label, group: Followed) -> str:
    if group.now:
        return f"{label.name} {' and '.join(map(str, group.now))}"
    return f"{label.name} {' and '.join(map(str, group.before))} of the earlier study"


def _change(label: Label, name: str, before_and_after_ml: tuple[float, float], interval: Interval) -> Change:
    before, after = (Measurement(VOLUME, ml, CUBIC_CENTIMETRE) for ml in before_and_after_ml)
    values = {each: getattr(label, each) for each in Term.model_fields}
    return Change(
        term=Term(**values | {"name": name}),
        before=before,
        after=after,
        measured_before_on=interval.earlier_day,
        earlier_series_uid=interval.result.subject.series_instance_uid,
        differences=differences(*before_and_after_ml, interval.days),
        remark=interval.remark,
    )


def _remarked(change: Change, sentence: str) -> Change:
    return replace(change, remark=f"{change.remark} {sentence}".strip())


def _total_ml(measured: Sequence[MeasuredVolume], key: str) -> float | None:
    """The volume of a structure with all its lesions; None where it was not measured, or not in ml."""
    theirs = [each for each in measured if each.structure == key]
    if not theirs or any(each.unit != CUBIC_CENTIMETRES for each in theirs):
        return None
    return sum(each.volume for each in theirs)


def _lesions_ml(measured: Sequence[MeasuredVolume], label: Label, lesions: Sequence[int]) -> float:
    key = structure_key(label)
    return sum(each.volume for each in measured if each.structure == key and each.lesion in lesions)
