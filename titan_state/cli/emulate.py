"""`titan-state emulate`: run the embedded Task Service until the user leaves."""

from __future__ import annotations

import asyncio
import errno
import shlex
from contextlib import AsyncExitStack

from titan_state.cli.output import emit, remark
from titan_state.emulator import Faults, Scenario, TaskServiceEmulator
from titan_state.errors import ConfigurationError


async def emulate(
    *, port: int, seed: int, speed: float, per_minute: int | None, faults: bool, count: int | None, illegal: float
) -> int:
    """Run the service with the demonstration's story, or with `count` random executions."""
    scenario = Scenario.demo(seed=seed) if count is None else Scenario.random(count, seed=seed, illegal=illegal)
    async with AsyncExitStack() as stack:
        emulator = TaskServiceEmulator(
            scenario,
            port=port,
            seed=seed,
            speed=speed,
            per_minute=per_minute,
            faults=Faults.rough(seed) if faults else None,
            begins_when_asked=True,
        )
        try:
            service = await stack.enter_async_context(emulator)
        except OSError as error:
            raise ConfigurationError(_unusable(port, error)) from error
        emit(f"export TITAN_API_URL={shlex.quote(service.url)}")
        emit(f"export TITAN_TOKEN={shlex.quote(service.token)}")
        limit = "no request limit" if per_minute is None else f"{per_minute} requests a minute"
        told = f"{len(scenario.plans)} executions in {len(service.tasks())} tasks, {limit}, speed {speed:g}"
        remark(told + (", with faults" if faults else "") + "; Ctrl-C ends it")
        remark("their story begins with the first request, and is told once: start this anew to see it again")
        remark("in another terminal, after the two lines above: titan-state watch --all")
        remark("to have the results of what succeeds as files: titan-state watch --all --export results")
        for task_id, name in service.tasks().items():
            remark(f"a further run of {name!r}: titan-state run {task_id}")
        await asyncio.Event().wait()
    raise AssertionError("it ends by being cancelled")


def _unusable(port: int, error: OSError) -> str:
    """Return what is the matter with a port, and what to do."""
    told = {errno.EADDRINUSE: "is in use already", errno.EACCES: "may not be used by this user"}.get(error.errno or 0)
    advice = "give another one with --port, or leave that out for any free one"
    return f"port {port} {told or f'cannot be used ({error.strerror or error})'}: {advice}"
