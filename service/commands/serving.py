"""`isocenter serve`."""

import typer

from service.commands.console import DEFAULT_CONFIG, ConfigOption
from service.roles import node
from service.settings import load

application = typer.Typer()


@application.command()
def serve(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the node: receiver, dispatcher and worker, until SIGTERM."""
    node.run(load(config))
