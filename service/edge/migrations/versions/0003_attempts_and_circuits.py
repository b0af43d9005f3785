"""Every attempt at a delivery, and how each destination fares."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Two tables; deliveries that were DEAD because of what is configured stay so until a person retries them."""
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column(
            "delivery_id", sa.Integer(), sa.ForeignKey("deliveries.delivery_id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("trouble", sa.String(16), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
    )
    op.create_index("ix_attempts_delivery_id", "attempts", ["delivery_id"])
    op.create_table(
        "circuits",
        sa.Column("destination", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.String(32), nullable=True),
        sa.Column("parked", sa.Text(), nullable=False),
        sa.Column("configured", sa.Text(), nullable=False),
    )
