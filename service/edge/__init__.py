"""Everything that touches disk, database or network, and decides nothing."""
