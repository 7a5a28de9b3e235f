"""Control: illegal actions are never sent, legal ones once, and an answer that stays out is resolved by reading."""

from __future__ import annotations

import asyncio

import pytest
from pace import posts, spent

from titan_state import (
    Action,
    ActionOutcomeUnknownError,
    ActionRejectedError,
    AnomalyKind,
    ExecutionNotFoundError,
    IllegalActionError,
    Lifecycle,
    Monitor,
)
from titan_state.core.events import ActionAccepted, ActionRefused, ActionSent, ActionUnknown, Transitioned
from titan_state.core.lifecycle import Move
from titan_state.emulator import Faults, Plan, Scenario, Step, TaskServiceEmulator, When
from titan_state.errors import ConnectionFailedError, NotFoundError, TokenUnavailableError

LONG = Plan(id="long", steps=(Step("running", 0.0), Step("completed", 10_000.0)))


@pytest.fixture
def events(monitor):
    """Every transition and anomaly that callbacks see, and every event of the stream."""
    return []


async def collect(monitor, into):
    async for event in monitor.events():
        into.append(event)


async def test_an_illegal_action_is_refused_before_any_request(service, monitor, clock, until):
    """Pausing what has finished raises at once: the service has received no control request."""
    service.add(LONG)
    async with monitor:
        monitor.watch("long")
        service.move("long", "completed")
        await until(lambda: monitor.executions())
        with pytest.raises(IllegalActionError) as caught:
            await spent(clock, monitor.pause("long"))
        assert caught.value.action == "pause"
        assert "terminal" in caught.value.verdict.reason
        assert posts(service) == []


async def test_an_old_status_is_read_again_first(service, monitor, clock, until):
    """An action is checked against a status that was read just now, not one from long ago."""
    service.add(LONG)
    async with monitor:
        monitor.watch("long")
        await until(lambda: monitor.executions())
        monitor.unwatch("long")
        await clock.advance(60)
        service.move("long", "failed")
        with pytest.raises(IllegalActionError, match="failed"):
            await spent(clock, monitor.stop("long"))
        assert posts(service) == []


async def test_a_known_status_that_would_refuse_is_read_again(service, monitor, clock, until):
    """What was queued a moment ago may be running by now: pausing it is not refused by what is known."""
    service.add(Plan(id="new"))
    async with monitor:
        monitor.watch("new")
        await until(lambda: monitor.executions())
        assert not monitor.check("new", Action.PAUSE)
        service.move("new", "running")
        execution = await spent(clock, monitor.pause("new"))
        assert execution.status == "paused"
        assert len(posts(service)) == 1


async def test_a_known_end_is_not_read_again(service, monitor, clock, until):
    """Nothing leaves a terminal status: refusing costs no request."""
    service.add(Plan(id="over"))
    service.move("over", "running")
    service.move("over", "completed")
    async with monitor:
        monitor.watch("over")
        await until(lambda: monitor.executions())
        before = len(service.requests)
        assert not await monitor.verdict("over", Action.PAUSE)
        assert [request for request in list(service.requests)[before:] if request.path.endswith("/over")] == []


async def test_pause_and_resume_are_explained(service, monitor, clock, until):
    """Our own pause and resume show as moves caused by an action, and are no anomaly."""
    seen = []
    service.add(LONG)
    async with monitor:
        monitor.on_transition(seen.append, name="moves")
        monitor.on_anomaly(seen.append, name="anomalies")
        execution = await spent(clock, monitor.pause("long"))
        assert execution.id == "long"
        await until(lambda: monitor.check("long", Action.RESUME).allowed)
        await spent(clock, monitor.resume("long"))
        await until(lambda: monitor.check("long", Action.PAUSE).allowed)
        await clock.advance(120)
    assert [(event.source, event.dest, event.cause) for event in seen] == [
        (None, "running", "platform"),
        ("running", "paused", "action"),
        ("paused", "running", "action"),
    ]


async def test_the_stream_says_what_became_of_an_action(service, monitor, clock, until):
    """The intent is an event before the request leaves, and its outcome another."""
    events: list = []
    service.add(LONG)
    async with monitor:
        reader = asyncio.create_task(collect(monitor, events))
        await spent(clock, monitor.stop("long"))
        await until(lambda: isinstance(events[-1], Transitioned) and events[-1].dest == "cancelled")
        reader.cancel()
    kinds = [type(event) for event in events]
    assert kinds.index(ActionSent) < kinds.index(ActionAccepted)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


@pytest.mark.parametrize("status", [400, 404, 409, 422])
async def test_a_refusal_carries_code_and_status(service, monitor, clock, status):
    """What the service refuses is an error with its code and the status then observed; nothing is explained by it."""
    events: list = []
    service.add(LONG)
    service.move("long", "completed")
    async with monitor:
        reader = asyncio.create_task(collect(monitor, events))
        await spent(clock, monitor.verdict("long", "pause"))
        with pytest.raises(ActionRejectedError) as caught:
            await spent(clock, monitor.pause("long", force=True))
        reader.cancel()
    assert caught.value.status == "completed"
    assert caught.value.code
    assert ActionRefused in [type(event) for event in events]
    assert len(posts(service)) == 1


async def test_a_deployment_without_control(clock):
    """501 is a refusal, not an unknown outcome."""
    async with (
        TaskServiceEmulator(Scenario([LONG]), clock=clock, unsupported=("pause",)) as service,
        Monitor(service.url, service.token, clock=clock) as monitor,
    ):
        with pytest.raises(ActionRejectedError, match="NOT_IMPLEMENTED"):
            await spent(clock, monitor.pause("long"))
        assert len(posts(service)) == 1


@pytest.mark.parametrize("fault", ["lost_answer", "error_after"])
async def test_a_lost_answer_is_resolved_by_reading(service, monitor, clock, fault):
    """The action took effect, its answer was lost: it counts as accepted, and was sent once."""
    events: list = []
    service.add(LONG)
    service.faults = Faults(**{fault: When(every=1, only="/pause")})
    async with monitor:
        reader = asyncio.create_task(collect(monitor, events))
        execution = await spent(clock, monitor.pause("long"))
        reader.cancel()
    assert execution.status == "paused"
    kinds = [type(event) for event in events]
    assert kinds.index(ActionUnknown) < kinds.index(ActionAccepted)
    assert [event.cause for event in events if isinstance(event, Transitioned)] == ["platform", "action"]
    assert len(posts(service)) == 1


async def test_a_lost_answer_is_resolved_where_the_platform_has_led_on(service, clock):
    """Where a pause only begins what the platform ends, an execution that is paused by now shows that it did."""
    lifecycle = Lifecycle.default().extend(
        statuses=["pausing"],
        moves=[Move("pause", "running", "pausing", Action.PAUSE), Move("settle", "pausing", "paused")],
        without=["pause"],
    )
    service.add(LONG)
    service.faults = Faults(lost_answer=When(every=1, only="/pause"))
    async with Monitor(service.url, service.token, clock=clock, lifecycle=lifecycle) as monitor:
        execution = await spent(clock, monitor.pause("long"))
    assert execution.status == "paused"
    assert len(posts(service)) == 1


async def test_a_lost_answer_is_not_resolved_where_the_execution_was_before(service, clock):
    """Where the platform also pauses by itself, `paused` does not show that a resume arrived."""
    lifecycle = Lifecycle.default().extend(moves=[Move("auto_pause", "running", "paused")])
    service.add(LONG)
    service.move("long", "paused")
    service.faults = Faults(reset=When(every=1, only="/resume"))
    async with Monitor(service.url, service.token, clock=clock, lifecycle=lifecycle) as monitor:
        with pytest.raises(ActionOutcomeUnknownError):
            await spent(clock, monitor.resume("long"))


async def test_an_action_that_did_not_arrive_is_not_sent_again(service, monitor, clock):
    """No answer and no effect is an error that says so; it is up to the user to look and decide."""
    service.add(LONG)
    service.faults = Faults(reset=When(every=1, only="/pause"))
    async with monitor:
        with pytest.raises(ActionOutcomeUnknownError) as caught:
            await spent(clock, monitor.pause("long"))
        assert caught.value.status == "running"
        assert len(posts(service)) == 1
        await clock.advance(300)
        assert monitor.anomalies("long") == ()


async def test_a_request_that_was_throttled_is_sent_again(service, monitor, clock):
    """429 says that the action was not carried out: it is sent again after the wait."""
    service.add(LONG)
    service.faults = Faults(spurious_429=When(at={1}, only="/pause"))
    async with monitor:
        await spent(clock, monitor.pause("long"))
    assert [request.status for request in service.requests if request.method == "POST"] == [429, 200]


async def test_a_cancelled_action_may_still_take_effect(service, monitor, clock, until):
    """Cancelling an action that is on its way is an unknown outcome: the pause that comes of it is explained."""
    events: list = []
    service.add(LONG)
    service.faults = Faults(slow=When(every=1, only="/pause"), slow_s=30.0)
    async with monitor:
        reader = asyncio.create_task(collect(monitor, events))
        acting = asyncio.ensure_future(monitor.pause("long"))
        await until(lambda: service.executions()["long"] == "paused")
        acting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await acting
        await until(lambda: monitor.check("long", "resume").allowed)
        await clock.advance(30)
        reader.cancel()
    assert ActionUnknown in [type(event) for event in events]
    assert [event.cause for event in events if isinstance(event, Transitioned)] == ["platform", "action"]
    assert not monitor.anomalies("long")


async def test_a_token_that_cannot_be_had(service, clock):
    """Where the token's function fails, nothing was sent: the action explains nothing, and the error is chained."""
    tokens = [service.token]
    service.add(LONG)

    def token():
        return tokens.pop()

    async with Monitor(service.url, token, clock=clock) as monitor:
        await spent(clock, monitor.verdict("long", "pause"))
        service.tokens.clear()
        with pytest.raises(TokenUnavailableError) as caught:
            await spent(clock, monitor.pause("long"))
        assert isinstance(caught.value.__cause__, IndexError)
        assert service.executions()["long"] == "running"


async def test_an_accepted_action_without_effect(service, monitor, clock, until):
    """An accepted action that shows no effect in time is an anomaly, which ends when the effect comes."""
    service.add(LONG)
    service.faults = Faults(ignored_action=When(every=1))
    async with monitor:
        await spent(clock, monitor.pause("long"))
        await until(lambda: AnomalyKind.ACTION_NOT_APPLIED in monitor.anomalies("long"))
        service.move("long", "paused")
        await until(lambda: not monitor.anomalies("long"))
        assert monitor.check("long", "resume")


async def test_an_unknown_execution(service, monitor, clock):
    """Asking for or controlling what does not exist says so in one way, sends nothing, and is not asked for again."""
    async with monitor:
        for what in (monitor.pause("nobody"), monitor.stop("nobody", force=True), monitor.verdict("nobody", "pause")):
            with pytest.raises(ExecutionNotFoundError, match="check its id") as caught:
                await spent(clock, what)
            assert caught.value.execution_id == "nobody"
            assert isinstance(caught.value.__cause__, NotFoundError)
        assert posts(service) == []
        asked = len(service.requests)
        await clock.advance(120)
        assert len(service.requests) == asked
        assert monitor.anomalies("nobody") == ()


async def test_an_execution_that_is_unwatched_while_it_is_acted_on(service, monitor, clock, until):
    """The action goes on to its end; the execution is watched no longer after that."""
    service.add(LONG)
    service.faults = Faults(lost_answer=When(every=1, only="/pause"))
    async with monitor:
        acting = asyncio.ensure_future(monitor.pause("long"))
        await until(lambda: posts(service))
        monitor.unwatch("long")
        await clock.advance(1)
        assert (await spent(clock, acting)).status == "paused"
        assert monitor.executions() == ()


async def test_a_service_that_cannot_be_reached(clock):
    """A request that certainly was not sent is the network's error, chained, and explains nothing."""
    async with Monitor("http://127.0.0.1:9", "token", clock=clock) as monitor:
        with pytest.raises(ConnectionFailedError) as caught:
            await spent(clock, monitor.pause("x"))
        assert caught.value.sent is False


async def test_check_is_true_or_false_with_a_reason(service, monitor, until):
    """`check` answers at once, of what was observed, and says as of when."""
    service.add(LONG)
    async with monitor:
        assert not monitor.check("long", "pause")
        unread = "it was not read yet: use `await monitor.verdict(...)`, which reads it first"
        assert monitor.check("long", "pause").reason == unread
        assert await monitor.verdict("long", "stop")
        monitor.watch("long")
        await until(lambda: monitor.executions())
        verdict = monitor.check("long", Action.PAUSE)
        assert verdict
        assert verdict.leads_to == "paused"
        assert verdict.as_of is not None
        with pytest.raises(ValueError, match="explode"):
            monitor.check("long", "explode")
