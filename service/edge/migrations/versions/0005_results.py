"""What jobs measured, and what later ones are compared with."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Jobs that ended before this have no result here: their patients are compared from the next study on."""
    op.add_column("jobs", sa.Column("prior", sa.Text(), nullable=True))
    op.create_table(
        "results",
        sa.Column("job_id", sa.String(32), sa.ForeignKey("jobs.job_id"), primary_key=True),
        sa.Column("patient", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
    )
    op.create_index("results_of_patient", "results", ["patient", "model"])
