from tests.integration.test_deliver import Clock, clock, ledger, spool  # noqa: F401
