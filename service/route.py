"""Stage 3: a stack becomes jobs, or the reason why no model runs on it is listed and, where a rule says so, told."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from pydicom import Dataset

from models.manifest import Manifest, Regression, Segmentation
from models.registry import Package
from service.core.clinical import facts_of, strangers, told
from service.core.clinical import objections as patient_objections
from service.core.entities import Slice, whole
from service.core.errors import Broken, TryAgain, whereabouts
from service.core.identity import job_id, notice_id
from service.core.jobs import Job, State, distinct
from service.core.observations import Observation
from service.core.priors import Prior, choose
from service.core.recalling import NOBODY, Recaller
from service.core.refusals import CURE_OF_UNSUITED, NEVER_TOLD, Notice, RefusalRecord, SayWhyNot, cure_of
from service.core.routing import Match, Rule, match, match_attributes
from service.core.suitability import NOTHING_ELSE, Allowance, why_not
from service.derived.subject import question_of, subject_of
from service.edge.ledger import Ledger
from service.edge.part10 import read_header, read_instance
from service.edge.records import Part, path_of, read_part
from service.edge.spool import Spool


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule's answer for a stack: how it matched, and what its model objects to."""

    match: Match
    objections: tuple[str, ...]
    observed: tuple[Observation, ...] = ()  # what its model is told beside the stack

    @property
    def runs(self) -> bool:
        """True when the model is to run."""
        return self.match.holds and not self.objections

    @property
    def says_why_not(self) -> bool:
        """True when the rule wanted the stack, its model does not run, and its destinations are to know."""
        return self.match.holds and not self.runs and self.match.rule.say_why_not is not SayWhyNot.NONE

    @property
    def sentence(self) -> str:
        """The decision in words, with the first reason against it; `isocenter explain` tells them all."""
        rule = self.match.rule
        if self.runs:
            return f"{rule.name}: runs {rule.model}"
        if not self.match.holds:
            return f"{rule.name}: {self.match.objection}"
        more = len(self.objections) - 1
        return f"{rule.name}: {self.objections[0]}" + (f" (and {more} more)" if more else "")


@dataclass(frozen=True, slots=True)
class Router:
    """The site's rules and the packages, one for each model that a rule names."""

    rules: tuple[Rule, ...]
    packages: Mapping[str, Package]
    allowed: Allowance = NOTHING_ELSE

    def decide(
        self,
        slices: Sequence[Slice],
        part: Part,
        declined: Mapping[str, str] | None = None,
        known: Sequence[Observation] = (),
    ) -> tuple[Decision, ...]:
        """Every rule's answer, in the order of rules.yaml.

        `declined` gives, by job, the reason of each model that has seen the pixels and declined; `known` is what was
        observed of the patient.
        """
        facts = facts_of(slices[0].instance)
        decisions = []
        for rule in self.rules:
            manifest = self.packages[rule.model].manifest
            observed = told(manifest, known, facts) if isinstance(manifest, Regression) else ()
            objections = self._objections(manifest, part, declined or {}, observed)
            if isinstance(manifest, Regression) and not isinstance(part, RefusalRecord):
                unused = strangers(manifest, known, observed, facts)
                objections = (*objections, *unused, *patient_objections(manifest, observed, facts))
            decisions.append(Decision(_match(rule, slices, part), objections, observed))
        return tuple(decisions)

    @property
    def wants_observations(self) -> bool:
        """True when some rule's model is told what was observed of the patient."""
        return any(isinstance(self.packages[rule.model].manifest, Regression) for rule in self.rules)

    def _objections(
        self, manifest: Manifest, part: Part, declined: Mapping[str, str], observed: Sequence[Observation]
    ) -> tuple[str, ...]:
        if isinstance(part, RefusalRecord):
            return (part.why,)
        seen = declined.get(job_id(part.stack_id, manifest.name, manifest.version, map(str, observed)))
        if seen:
            return (seen,)
        return why_not(manifest, part, self.allowed)

    def job(self, rule: Rule, stack: Part, now: datetime, observed: tuple[Observation, ...] = ()) -> Job:
        """The job of a rule on a stack, and on what its model is told; its id is the same whenever it is made."""
        version = self.packages[rule.model].manifest.version
        return Job(
            job_id=job_id(stack.stack_id, rule.model, version, map(str, observed)),
            observed=observed,
            stack_id=stack.stack_id,
            series_instance_uid=stack.series_instance_uid,
            study_instance_uid=stack.study_instance_uid,
            model=rule.model,
            version=version,
            rule=rule.name,
            destinations=rule.destinations,
            state=State.QUEUED,
            attempts=0,
            created_at=now,
        )

    def may_tell_of(self, refusal: RefusalRecord) -> bool:
        """True when some rule may want that told."""
        silent = all(rule.say_why_not is SayWhyNot.NONE for rule in self.rules)
        return not silent and refusal.reason not in NEVER_TOLD

    def notice(self, decision: Decision, part: Part, now: datetime) -> Job:
        """The job that tells the destinations of a decision's rule why its model does not run."""
        rule, why = decision.match.rule, "; ".join(decision.objections)
        manifest = self.packages[rule.model].manifest
        return replace(
            self.job(rule, part, now),
            job_id=notice_id(part.stack_id, rule.model, manifest.version, why),
            state=State.INFERRED,
            notice=Notice(
                model_title=manifest.title,
                why=why,
                cure=cure_of(part.reason) if isinstance(part, RefusalRecord) else CURE_OF_UNSUITED,
                say=rule.say_why_not,
            ),
        )


def _match(rule: Rule, slices: Sequence[Slice], part: Part) -> Match:
    if isinstance(part, RefusalRecord):
        return match_attributes(rule, slices)
    return match(rule, slices, part.grid)


@dataclass(frozen=True, slots=True)
class Judged:
    """A part of a Series with every rule's answer."""

    part: Part
    decisions: tuple[Decision, ...]
    senders: frozenset[str] = frozenset()  # who brought it, by calling AE title

    @property
    def models(self) -> set[str]:
        """Those that run."""
        return {decision.match.rule.model for decision in self.decisions if decision.runs}


def tick(spool: Spool, ledger: Ledger, router: Router, now: datetime, recaller: Recaller = NOBODY) -> None:
    """Decide for every part that has no decision yet; one that cannot be read holds up no other.

    A Series about whose patient an archive is asked is decided once that has answered, or has not for too long.
    """
    by_series: dict[str, list[str]] = defaultdict(list)
    for stack_id, series in (ledger.undecided() | ledger.undecided_refusals()).items():
        by_series[series].append(stack_id)
    for series, stack_ids in by_series.items():
        if recaller.waits(series, now):
            continue
        found = [_judged(spool, ledger, router, stack_id, series) for stack_id in stack_ids]
        judged = [each for each in found if each]
        at_work = ledger.models_at_work(series).union(*(each.models for each in judged))
        for each in judged:
            notices = list(_notices(router, each, at_work, now))
            if not notices or all(found):  # a part that is not judged yet may be the one that the model runs on
                _decide(Planner(spool, ledger, router, recaller, now), each, notices)


def _judged(spool: Spool, ledger: Ledger, router: Router, stack_id: str, series: str) -> Judged | None:
    log = structlog.get_logger().bind(series=series, stack=stack_id)
    try:
        return _judge(spool, ledger, router, stack_id)
    except TryAgain:  # its record is gone: assembling makes it again
        ledger.reopen_series(series)
    except Broken as error:
        ledger.decide(stack_id, f"not routed: {error}", [])
        log.warning("stack not routed", reason=str(error))
    except Exception as error:  # the next tick tries again
        log.error("stack not routed", reason=whereabouts(error))  # noqa: TRY400
    return None


def _judge(spool: Spool, ledger: Ledger, router: Router, stack_id: str) -> Judged:
    part = read_part(spool, stack_id)
    if isinstance(part, RefusalRecord) and not router.may_tell_of(part):
        return Judged(part, ())
    slices = _slices(spool, part)
    known: tuple[Observation, ...] = ()
    if router.wants_observations:
        known = ledger.observations_for(slices[0].instance.patient, part.study_instance_uid)
    senders = frozenset(each.instance.calling_ae_title for each in slices)
    return Judged(part, router.decide(slices, part, ledger.declined(stack_id), known), senders)


def _slices(spool: Spool, part: Part) -> list[Slice]:
    instances = {uid: read_instance(path_of(spool, part, uid)) for uid in part.sop_instance_uids}
    by_name = {each.reference: each for instance in instances.values() for each in whole(instance)}
    return [by_name[frame] for frame in part.frames]


def _notices(router: Router, judged: Judged, at_work: set[str], now: datetime) -> Iterator[Job]:
    """Those for models that run on no other part of the Series either."""
    for decision in judged.decisions:
        if decision.says_why_not and decision.match.rule.model not in at_work:
            yield router.notice(decision, judged.part, now)


@dataclass(frozen=True, slots=True)
class Planner:
    """Fixes what jobs will be compared with, whenever they are run."""

    spool: Spool
    ledger: Ledger
    router: Router
    recaller: Recaller
    now: datetime

    def planned(self, judged: Judged, wanted: Sequence[Job]) -> list[Job]:
        """The jobs, each new one with its earlier result. Raises _Awaited while an archive is asked for one."""
        runs = [job for job in wanted if not job.notice and not self.ledger.has_job(job.job_id)]
        if not runs:
            return list(wanted)
        image = read_header(path_of(self.spool, judged.part, judged.part.sop_instance_uids[0]))
        return [replace(job, prior=self._prior(image, job, judged.senders)) if job in runs else job for job in wanted]

    def _prior(self, image: Dataset, job: Job, senders: frozenset[str]) -> Prior | None:
        subject, manifest = subject_of(image), self.router.packages[job.model].manifest
        if not subject.patient:
            return None
        prior = choose(subject, self.ledger.results_of(subject.patient, job.model))
        if prior or not isinstance(manifest, Segmentation):
            return prior
        answer = self.recaller.ask(question_of(image, job.model, manifest.title, senders), self.now)
        if answer.is_awaited:
            raise _Awaited
        if answer.why_not:
            return Prior(None, answer.why_not)
        return choose(subject, self.ledger.results_of(subject.patient, job.model))


class _Awaited(Exception):  # noqa: N818
    """An archive is still being asked."""


def _decide(planner: Planner, judged: Judged, notices: Sequence[Job]) -> None:
    part, router = judged.part, planner.router
    runs = [router.job(each.match.rule, part, planner.now, each.observed) for each in judged.decisions if each.runs]
    try:
        wanted = planner.planned(judged, distinct([*runs, *notices]))
    except _Awaited:
        return
    words = "not analysed" if isinstance(part, RefusalRecord) else summary(judged.decisions)
    told = dict.fromkeys(destination for notice in notices for destination in notice.destinations)
    planner.ledger.decide(part.stack_id, f"{words}; told to {', '.join(told)}" if told else words, wanted)
    structlog.get_logger().info(
        "stack routed", series=part.series_instance_uid, stack=part.stack_id, jobs=[job.job_id for job in wanted]
    )


def summary(decisions: Sequence[Decision]) -> str:
    """What was decided, in one line: the jobs when there are any, else every rule's reason."""
    chosen = [decision for decision in decisions if decision.runs] or decisions
    return " | ".join(decision.sentence for decision in chosen) or "there are no rules"
