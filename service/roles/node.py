"""All roles as one node: each a process of its own, started again when it dies, stopped in order."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from service.edge import logs
from service.edge.ledger import opened
from service.edge.spool import Spool
from service.roles.life import OWNER_ONLY, PARENT_VARIABLE, Life
from service.roles.ruling import router_for
from service.roles.securing import require_usable
from service.settings import Settings

ROLES = ("receiver", "dispatcher", "worker")  # the order of stopping: the door first
_TICK_SECONDS = 0.2
_STOP_SECONDS = 20.0
_LONGEST_WAIT = 30.0


@dataclass(slots=True)
class _Role:
    name: str
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started_at: float = 0.0
    start_after: float = 0.0
    command: Sequence[str] = field(default_factory=list)

    def start(self) -> None:
        environment = os.environ | {PARENT_VARIABLE: str(os.getpid())}
        self.process = subprocess.Popen(self.command, env=environment)
        self.started_at = time.monotonic()

    def is_dead(self) -> bool:
        return self.process is None or self.process.poll() is not None


def run(settings: Settings) -> None:
    """Run every role until told to stop. Nothing starts before rules, models, TLS and ledger are known to be good."""
    logs.configure("node")
    os.umask(OWNER_ONLY)
    life = Life()
    spool = Spool(settings.spool)
    holder = spool.lock()
    leftovers = spool.sweep()
    router_for(settings)
    require_usable(settings)
    with opened(settings.ledger_url):
        structlog.get_logger().info("starting", spool=str(settings.spool), leftovers=leftovers)
    roles = [_Role(name, command=_command(name, settings)) for name in ROLES]
    while life.goes_on():
        for role in roles:
            _keep_alive(role)
        life.pause(_TICK_SECONDS)
    for role in roles:
        _stop(role)
    holder.close()
    structlog.get_logger().info("stopped")


def _command(role: str, settings: Settings) -> list[str]:
    return [sys.executable, "-P", "-m", f"service.roles.{role}", str(settings.folder)]


def _keep_alive(role: _Role) -> None:
    """Start a role that is not running, waiting longer each time it dies soon after its start."""
    moment = time.monotonic()
    if role.process is not None and role.is_dead() and role.start_after < role.started_at:
        soon = moment - role.started_at < _LONGEST_WAIT
        role.deaths = role.deaths + 1 if soon else 1
        role.start_after = moment + min(0.25 * 2**role.deaths, _LONGEST_WAIT)
        structlog.get_logger().error("role died", died=role.name, exit_code=role.process.returncode)
    if role.is_dead() and moment >= role.start_after:
        role.start()


def _stop(role: _Role) -> None:
    if role.process is None:
        return
    role.process.terminate()
    try:
        role.process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        role.process.kill()
        role.process.wait()
