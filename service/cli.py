"""The command line, thin: which module each command is in, loaded when it is called."""

from collections.abc import Sequence
from importlib import import_module

import typer

COMMANDS = {
    "serving": ("serve",),
    "starting": ("init", "version"),
    "apart": ("doctor", "demo", "inspect", "export", "render", "replay"),
    "looking": ("status", "jobs", "events", "requeue", "explain"),
    "calling": ("echo", "send"),
    "observe": ("observe",),
    "outbox_command": ("outbox",),
    "reconcile_command": ("reconcile",),
    "models": ("models",),
    "lessons": ("cases", "train", "evaluate"),
}
GROUPS = {"outbox_command": "outbox", "models": "models"}  # modules whose commands have a name in common


def application_for(words: Sequence[str]) -> typer.Typer:
    """The application with the command that the words begin with; with all of them where that is none: for help."""
    application = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
    wanted = [module for module, names in COMMANDS.items() if words and words[0] in names]
    for module in wanted or COMMANDS:
        commands: typer.Typer = import_module(f"service.commands.{module}").application
        application.add_typer(commands, name=GROUPS.get(module))
    return application
