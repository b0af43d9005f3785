"""Which module of commands each word of the command line leads to."""

from importlib import import_module

import pytest
import typer

from service.cli import COMMANDS, GROUPS, application_for


@pytest.mark.parametrize("module", COMMANDS)
def test_a_module_has_the_commands_that_lead_to_it_and_no_other(module: str) -> None:
    application: typer.Typer = import_module(f"service.commands.{module}").application
    names = {command.name or getattr(command.callback, "__name__", "") for command in application.registered_commands}
    assert set(COMMANDS[module]) == ({GROUPS[module]} if module in GROUPS else names)


def test_no_command_is_in_two_modules() -> None:
    names = [name for names in COMMANDS.values() for name in names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("words", [[], ["--help"], ["sevre"]], ids=["nothing", "help", "a mistake"])
def test_what_is_no_command_leads_to_all_of_them(words: list[str]) -> None:
    assert len(application_for(words).registered_groups) == len(COMMANDS)
    assert len(application_for(["serve"]).registered_groups) == 1
