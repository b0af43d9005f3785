"""Jobs that say why a model did not run."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """A column for the notice; the jobs that are there have none."""
    op.add_column("jobs", sa.Column("notice", sa.Text(), nullable=True))
