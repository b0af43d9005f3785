"""`isocenter render`: the pictures of a finished job as files, drawn as those that go to a PACS."""

import sys
from enum import StrEnum
from pathlib import Path

import typer

from models.volume import Volume
from service import __version__
from service.core.errors import Broken, IsocenterError
from service.core.jobs import Job
from service.core.profiles import Kind, Profile
from service.derived.contact_sheet import contact_sheets
from service.derived.drawing import encoded
from service.derived.montage import sheets
from service.edge.ledger import opened
from service.edge.records import read_findings
from service.edge.spool import Spool
from service.edge.workplaces import Desk
from service.report import material
from service.settings import load

application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_WITH_PICTURES = Profile(objects=(Kind.CAPTURE,))


class Form(StrEnum):
    """How a picture is written."""

    PNG = "png"
    JPEG = "jpeg"


@application.command()
def main(
    job: str, config: Path, output: Path, form: Form = Form.PNG, all_slices: bool = typer.Option(False, "--all-slices")
) -> None:
    """Write the pictures of JOB into the output folder."""
    settings = load(config)
    with opened(settings.ledger_url) as ledger:
        found = ledger.job(job)
    for picture in render(settings.spool, found, output, form, all_slices=all_slices):
        typer.echo(str(picture))


def render(spool_root: Path, job: Job, output: Path, form: Form = Form.PNG, *, all_slices: bool = False) -> list[Path]:
    """The files that the pictures of a job were written to.

    Raises Broken for a job in which no model ran, TryAgain when its findings or images are no longer in the spool.
    """
    if job.notice:
        raise Broken(f"{job.job_id} was not analysed: there is nothing to draw")
    findings = read_findings(Spool(spool_root), job.job_id)
    made_of = material(Desk(spool_root, {}, __version__), job, _WITH_PICTURES, findings)
    drawn = sheets(made_of)
    if all_slices and isinstance(made_of.image, Volume):
        drawn += contact_sheets(made_of, made_of.image)
    output.mkdir(parents=True, exist_ok=True)
    name = f"{job.model}_{job.job_id[:8]}"
    written = [output / f"{name}_{number}.{form}" for number in range(1, len(drawn) + 1)]
    for path, each in zip(written, drawn, strict=True):
        path.write_bytes(encoded(each.image, form.name))
    return written


if __name__ == "__main__":
    try:
        application()
    except (IsocenterError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
