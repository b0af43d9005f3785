"""The door, killed before each system call of an instance: what was acknowledged is there, the rest comes again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.durability import tracing
from tests.durability.audit import together
from tests.durability.kill_points import Executioner, Strike
from tests.durability.receiving import receiver_on
from tests.durability.tracing import KillPoint

Figures = Callable[..., None]


def first_and_last(points: Sequence[KillPoint]) -> list[KillPoint]:
    """The first and the last call of each kind."""
    last = {point.call: point for point in points}
    return sorted({point for point in points if point.nth == 1 or point == last[point.call]})


def require_every_step(points: Sequence[KillPoint]) -> None:
    """An instance is opened, written, flushed, placed, and answered; else the trace looked the wrong way."""
    calls = {point.call for point in points}
    for step in (tracing.OPENING, tracing.WRITING, tracing.FLUSHING, tracing.PLACING, tracing.ANSWERING):
        assert calls & set(step), f"no call of {step} seen, only {sorted(calls)}"


def line_of(strikes: Sequence[Strike], points: int) -> dict[str, object]:
    return {
        "points": points,
        "struck": len(strikes),
        "reached": sum(strike.reached for strike in strikes),
        "acknowledged": sum(strike.acknowledged for strike in strikes),
        **together([each for strike in strikes for each in (strike.after_kill, strike.after_again)]),
    }


def test_killed_at_the_first_and_last_call_of_each_kind_it_loses_nothing_acknowledged(
    strace: str, tmp_path: Path, engine: str, figures: Figures
) -> None:
    with receiver_on(tmp_path / "config", tmp_path / "spool", engine) as receiver:
        executioner = Executioner(receiver, strace)
        points = executioner.kill_points()
        strikes = list(executioner.strike_each(first_and_last(points)))
    figures(engine=engine, **line_of(strikes, len(points)))
    require_every_step([strike.at for strike in strikes if strike.reached])
    assert [strike for strike in strikes if not strike.kept_the_promise] == []


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_killed_at_any_call_it_loses_nothing_acknowledged(
    strace: str, tmp_path: Path, engine: str, figures: Figures
) -> None:
    with receiver_on(tmp_path / "config", tmp_path / "spool", engine) as receiver:
        executioner = Executioner(receiver, strace)
        points = executioner.kill_points()
        strikes = list(executioner.strike_each(points))
    figures(engine=engine, **line_of(strikes, len(points)))
    assert [strike.at for strike in strikes if not strike.reached] == []
    assert [strike for strike in strikes if not strike.kept_the_promise] == []
