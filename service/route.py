"""Stage 3: a stack becomes jobs, or is listed with the reason why no model runs on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from models.registry import Package
from service.core.entities import Slice, StackRecord, whole
from service.core.errors import Broken, TryAgain, whereabouts
from service.core.identity import job_id
from service.core.jobs import Job, State
from service.core.routing import Match, Rule, match
from service.core.suitability import why_not
from service.edge.ledger import Ledger
from service.edge.part10 import read_instance
from service.edge.records import path_of, read_stack
from service.edge.spool import Spool


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule's answer for a stack: how it matched, and what its model objects to."""

    match: Match
    objections: tuple[str, ...]

    @property
    def runs(self) -> bool:
        """True when the model is to run."""
        return self.match.holds and not self.objections

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
    phantom_models_may_answer: bool = False

    def decide(self, slices: Sequence[Slice], stack: StackRecord) -> tuple[Decision, ...]:
        """Every rule's answer, in the order of rules.yaml."""
        return tuple(Decision(match(rule, slices, stack.grid), self._objections(rule, stack)) for rule in self.rules)

    def _objections(self, rule: Rule, stack: StackRecord) -> tuple[str, ...]:
        manifest = self.packages[rule.model].manifest
        return why_not(manifest, stack, phantom_models_may_answer=self.phantom_models_may_answer)

    def job(self, rule: Rule, stack: StackRecord, now: datetime) -> Job:
        """The job of a rule on a stack; its id is the same whenever it is made."""
        version = self.packages[rule.model].manifest.version
        return Job(
            job_id=job_id(stack.stack_id, rule.model, version),
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


def tick(spool: Spool, ledger: Ledger, router: Router, now: datetime) -> None:
    """Decide for every stack that has no decision yet; one that cannot be read holds up no other."""
    log = structlog.get_logger()
    for stack_id, series in ledger.undecided().items():
        try:
            jobs = _route(spool, ledger, router, stack_id, now)
            log.info("stack routed", series=series, stack=stack_id, jobs=jobs)
        except TryAgain:  # its record is gone: assembling makes it again
            ledger.reopen_series(series)
        except Broken as error:
            ledger.decide(stack_id, f"not routed: {error}", [])
            log.warning("stack not routed", series=series, stack=stack_id, reason=str(error))
        except Exception as error:  # the next tick tries again
            log.error("stack not routed", series=series, stack=stack_id, reason=whereabouts(error))  # noqa: TRY400


def _route(spool: Spool, ledger: Ledger, router: Router, stack_id: str, now: datetime) -> list[str]:
    stack = read_stack(spool, stack_id)
    decisions = router.decide(_slices(spool, stack), stack)
    wanted = _distinct(router.job(decision.match.rule, stack, now) for decision in decisions if decision.runs)
    ledger.decide(stack_id, summary(decisions), wanted)
    return [job.job_id for job in wanted]


def _slices(spool: Spool, stack: StackRecord) -> list[Slice]:
    instances = {uid: read_instance(path_of(spool, stack, uid)) for uid in stack.sop_instance_uids}
    by_name = {each.reference: each for instance in instances.values() for each in whole(instance)}
    return [by_name[frame] for frame in stack.frames]


def summary(decisions: Sequence[Decision]) -> str:
    """What was decided, in one line: the jobs when there are any, else every rule's reason."""
    chosen = [decision for decision in decisions if decision.runs] or decisions
    return " | ".join(decision.sentence for decision in chosen) or "there are no rules"


def _distinct(wanted: Iterable[Job]) -> list[Job]:
    """Several rules for one model make one job, whose results go to the destinations of all of them."""
    by_id: dict[str, Job] = {}
    for job in wanted:
        known = by_id.setdefault(job.job_id, job)
        destinations = tuple(dict.fromkeys((*known.destinations, *job.destinations)))
        by_id[job.job_id] = replace(known, destinations=destinations)
    return list(by_id.values())
