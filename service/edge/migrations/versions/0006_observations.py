"""What is known of patients beside images, and what each job was told of it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """One table; Series that are there already name no patient, and are found by their study alone."""
    op.create_table(
        "observations",
        sa.Column("observation_id", sa.String(32), primary_key=True),
        sa.Column("patient", sa.String(16), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("quantity", sa.String(16), nullable=False),
        sa.Column("value", sa.String(32), nullable=False),
        sa.Column("measured_on", sa.String(10), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
    )
    op.create_index("ix_observations_patient", "observations", ["patient"])
    op.create_index("ix_observations_study_instance_uid", "observations", ["study_instance_uid"])
    op.add_column("jobs", sa.Column("observed", sa.Text(), nullable=True))
    op.add_column("series", sa.Column("patient", sa.String(16), nullable=False, server_default=""))
