"""Earlier results that were read from reports, which archives were asked for them, and who observations are of."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Two tables; what was observed before this says of nobody when they were born."""
    op.create_table(
        "recalled",
        sa.Column("job_id", sa.String(32), primary_key=True),
        sa.Column("patient", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
    )
    op.create_index("recalled_of_patient", "recalled", ["patient", "model"])
    op.create_table(
        "recalls",
        sa.Column("recall_id", sa.String(32), primary_key=True),
        sa.Column("asked_at", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.String(32), nullable=True),
        sa.Column("why_not", sa.Text(), nullable=False),
    )
    op.add_column("observations", sa.Column("person", sa.String(40), nullable=False, server_default=""))
