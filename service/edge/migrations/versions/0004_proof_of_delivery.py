"""How each object is asked for, and whether its destination has it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_TEXTS = ("sop_class_uid", "study_instance_uid", "series_instance_uid", "transaction_uid")
_NUMBERS = ("way", "looks", "unanswered")


def upgrade() -> None:
    """What was SENT is UNCONFIRMED: nobody asked for it, and its study is not known here."""
    for name in _TEXTS:
        op.add_column("deliveries", sa.Column(name, sa.String(64), nullable=False, server_default=""))
    for name in _NUMBERS:
        op.add_column("deliveries", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("deliveries", sa.Column("changed_at", sa.String(32), nullable=False, server_default=""))
    op.execute("UPDATE deliveries SET changed_at = next_at")
    op.execute("UPDATE deliveries SET state = 'UNCONFIRMED' WHERE state = 'SENT'")
    op.create_index("ix_deliveries_transaction_uid", "deliveries", ["transaction_uid"])
    op.add_column("circuits", sa.Column("narrowed", sa.Integer(), nullable=False, server_default="0"))
