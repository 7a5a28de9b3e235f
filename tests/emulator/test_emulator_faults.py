"""Faults: each one as a client meets it, and the dice that decide."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import aiohttp
import pytest

from titan_state.emulator import Faults, Plan, Scenario, Step, When
from titan_state.emulator.faults import Dice

BUSY = Scenario([Plan(id="a", task_id="t", steps=[Step("running")])])


async def until_asleep(clock):
    while not clock.sleepers:
        await clock.settle()


async def test_server_errors_carry_nothing_out(opened):
    """A refused action has no effect, and the statuses are those that were asked for."""
    service, client = await opened(BUSY, faults=Faults(server_error={1, 2, 3}, error_statuses=(503,)))
    for _ in range(2):
        refused = await client.post("/executions/a/pause")
        assert (refused.status, refused.code) == (503, "SERVICE_UNAVAILABLE")
    assert service.executions() == {"a": "running"}
    media = await client.get("/media/x", prefix="")
    assert media.json == {"error": "something went wrong"}
    assert (await client.post("/executions/a/pause")).status == 200


async def test_server_errors_come_in_all_kinds(opened):
    """By default 500, 502 and 503 appear."""
    _, client = await opened(BUSY, faults=Faults(server_error=1.0))
    codes = {(answer := await client.get("/tasks")).status: answer.code for _ in range(30)}
    assert codes == {500: "INTERNAL_SERVER_ERROR", 502: "BAD_GATEWAY", 503: "SERVICE_UNAVAILABLE"}


@pytest.mark.parametrize(("fault", "after"), [("reset", "running"), ("lost_answer", "paused")])
async def test_connections_break_before_or_after_an_action(opened, fault, after):
    """A broken connection leaves the client in doubt: the action was carried out, or it was not."""
    service, client = await opened(BUSY, faults=Faults(**{fault: {1}}))
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.post("/executions/a/pause")
    assert service.executions() == {"a": after}
    assert service.requests[-1].status is None


@pytest.mark.parametrize("off_s", [-30.0, 1000.0])
async def test_dates_may_be_wrong(opened, off_s):
    """What an execution says of its last change is as far from the truth as was asked for; nothing else is."""
    service, client = await opened(BUSY)
    true = (await client.get("/executions/a")).data
    service.faults = Faults(dates_off_s=off_s)
    wrong = (await client.get("/executions/a")).data
    dates = [datetime.fromisoformat(shown.pop("updated_at")) for shown in (true, wrong)]
    assert (dates[1] - dates[0]).total_seconds() == off_s
    assert wrong == true


async def test_lost_answers_hit_what_changes_something_only(opened):
    """Runs and new tasks may be carried out and not answered; refusals and reads always are."""
    service, client = await opened(BUSY, faults=Faults(lost_answer=1.0))
    assert await client.status("a") == "running"
    assert (await client.post("/executions/a/resume")).status == 409
    for path in ("/tasks/t/run", "/tasks"):
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post(path)
    assert len(service.executions()) == 2
    assert len(service.tasks()) == 2


async def test_an_error_may_follow_a_carried_out_action(opened):
    """A gateway may answer with an error for what was carried out behind it."""
    service, client = await opened(BUSY, faults=Faults(error_after={1}, error_statuses=(502,)))
    assert (await client.post("/executions/a/stop")).code == "BAD_GATEWAY"
    assert service.executions() == {"a": "cancelled"}


@pytest.mark.parametrize(("fault", "before"), [("late", "running"), ("slow", "paused")])
async def test_late_and_slow_answers_wait_for_the_clock(opened, clock, fault, before):
    """A late request is carried out after the wait, a slow answer was made before it."""
    service, client = await opened(BUSY, faults=Faults(**{fault: {1}, f"{fault}_s": 5}))
    asking = asyncio.create_task(client.post("/executions/a/pause"))
    await until_asleep(clock)
    assert service.executions() == {"a": before}
    await clock.advance(5)
    assert (await asking).data["status"] == "paused"


async def test_closing_does_not_wait_for_slow_answers(opened, clock):
    """A service that is left with an answer outstanding closes at once."""
    service, client = await opened(BUSY, faults=Faults(slow=1.0, slow_s=1000))
    asking = asyncio.create_task(client.get("/tasks"))
    await until_asleep(clock)
    began = time.monotonic()
    await service.__aexit__(None, None, None)
    assert time.monotonic() - began < 5
    with pytest.raises(aiohttp.ClientConnectionError):
        await asking
    assert clock.sleepers == 0


async def test_bodies_are_truncated_or_garbled(opened):
    """A body breaks off with its connection, or is cut with a length that fits."""
    service, client = await opened(BUSY, faults=Faults(truncated={1}))
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get("/tasks")
    service.faults = Faults(garbled={1})
    cut = await client.get("/tasks")
    assert cut.status == 200
    with pytest.raises(ValueError):
        _ = cut.json
    assert (await client.get("/tasks")).data["total"] == 1


async def test_a_proxy_may_answer_with_a_page(opened):
    """HTML with 200 comes instead of an answer, and nothing was carried out."""
    service, client = await opened(BUSY, faults=Faults(html={1}))
    answer = await client.post("/executions/a/stop")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<html>" in answer.body
    assert service.executions() == {"a": "running"}


async def test_spurious_429(opened, clock):
    """The limiter may refuse too early, with a reset or without one."""
    service, client = await opened(BUSY, faults=Faults(spurious_429={1, 2}, spurious_reset_s=2))
    refused = await client.get("/tasks")
    assert refused.code == "TOO_MANY_REQUESTS"
    assert int(refused.headers["X-RateLimit-Reset"]) == clock.now().timestamp() + 2
    service.faults.spurious_reset_s = None
    assert "X-RateLimit-Reset" not in (await client.get("/tasks")).headers
    assert (await client.get("/tasks")).status == 200


async def test_stale_reads_show_a_moment_of_the_past(opened, clock):
    """A lagging replica shows old statuses, and 404 from before the creation, never more than `stale_s` old."""
    plan = Plan(id="a", created_after_s=10, steps=[Step("running", 1), Step("completed", 1)])
    _, client = await opened(Scenario([plan]), faults=Faults(stale=1.0, stale_s=4), per_minute=None)
    await clock.advance(12.5)
    seen = {await client.status("a") for _ in range(60)}
    assert seen == {404, "queued", "running", "completed"}
    lists = [(await client.get("/executions")).data["items"] for _ in range(60)]
    assert {items[0]["status"] if items else None for items in lists} == {None, "queued", "running", "completed"}
    await clock.advance(3.4)
    assert {await client.status("a") for _ in range(60)} == {"running", "completed"}
    await clock.advance(0.2)
    assert {await client.status("a") for _ in range(30)} == {"completed"}


async def test_lists_lag_behind_single_reads(opened, clock):
    """With a lag a list shows what was true then, also what has vanished since."""
    plans = [Plan(id="a", steps=[Step("running", 5)]), Plan(id="b", steps=[Step.vanish(5)])]
    _, client = await opened(Scenario(plans), faults=Faults(list_lag_s=2))
    await clock.advance(6)
    assert await client.status("a") == "running"
    assert await client.status("b") == 404
    items = (await client.get("/executions")).data["items"]
    assert {one["id"]: one["status"] for one in items} == {"a": "queued", "b": "queued"}
    await clock.advance(1.5)
    assert [one["status"] for one in (await client.get("/executions")).data["items"]] == ["running"]


async def test_pages_shift_while_being_read(opened):
    """A later page may repeat the last item of the one before, or skip one."""
    plans = [Plan(id=f"{n:02}") for n in range(12)]
    _, client = await opened(Scenario(plans), faults=Faults(shifting=1.0))
    firsts = set()
    for _ in range(20):
        page = (await client.get("/executions?limit=4&offset=4")).data
        assert page["offset"] == 4
        firsts.add(page["items"][0]["id"])
    assert firsts == {"08", "06"}  # 07 stands there
    assert (await client.get("/executions?limit=4")).data["items"][0]["id"] == "11"


async def test_new_executions_may_be_unreadable_for_a_moment(opened, clock):
    """A new execution is answered with 404 first, though it can be listed and controlled."""
    _, client = await opened(BUSY, faults=Faults(unreadable_new_s=2))
    await clock.advance(3)
    execution_id = (await client.post("/tasks/t/run")).data["id"]
    assert await client.status(execution_id) == 404
    assert await client.status("a") == "running"
    assert (await client.get("/executions")).data["total"] == 2
    await clock.advance(2)
    assert await client.status(execution_id) == "running"


async def test_actions_may_be_accepted_without_effect(opened):
    """A deployment may say yes and do nothing."""
    service, client = await opened(BUSY, faults=Faults(ignored_action={1}))
    assert (await client.post("/executions/a/pause")).data["status"] == "running"
    assert service.executions() == {"a": "running"}
    assert (await client.post("/executions/a/pause")).data["status"] == "paused"


async def test_faults_hit_by_number_share_and_path(opened):
    """A fault counts the requests it can hit, from when it was put in place."""
    service, client = await opened(BUSY)

    async def statuses(count, path="/tasks"):
        return [(await client.get(path)).status == 200 for _ in range(count)]

    service.faults.server_error = When(every=3)
    assert await statuses(7) == [True, True, False, True, True, False, True]
    service.faults.server_error = When(at={2})
    assert await statuses(3) == [True, False, True]
    service.faults.server_error = When(at={1}, only="GET /api/v1/executions")
    assert await statuses(2) == [True, True]
    assert await statuses(2, "/executions") == [False, True]
    service.faults.server_error = 1
    assert await statuses(2) == [False, False]
    service.faults = Faults.none()
    assert await statuses(2) == [True, True]


@pytest.mark.parametrize("wrong", [{"probability": 1.5}, {"probability": -0.1}, {"every": 0}])
def test_faults_that_cannot_be_are_refused(wrong):
    """A share is 0 to 1, and counting begins at 1."""
    with pytest.raises(ValueError):
        When(**wrong)


def test_the_same_seed_throws_the_same_dice():
    """Faults are repeatable, and one fault's probability does not change another's story."""

    def thrown(seed, faults, also=()):
        dice = Dice(seed)
        hits = []
        for _ in range(200):
            for name in also:
                dice.hit(faults, name, "GET /")
            hits.append(dice.hit(faults, "stale", "GET /"))
        return hits

    rough = Faults.rough()
    first = thrown(1, rough)
    assert 30 < sum(first) < 90
    assert first == thrown(1, rough) == thrown(1, rough, also=("slow", "reset"))
    assert first != thrown(2, rough)
    assert thrown(1, Faults.rough(5)) == thrown(2, Faults.rough(5))
    assert not any(thrown(1, Faults.none()))


async def test_rough_service_is_repeatable_and_tells_no_lies(opened, clock):
    """The same seed gives the same answers, and every status shown was true within the lag."""
    stories = []
    for _ in range(2):
        service, client = await opened(Scenario.random(5, seed=4), faults=Faults.rough(2), per_minute=None, seed=3)
        story = []
        for _ in range(150):
            asking = asyncio.create_task(client.get("/executions?limit=3&offset=1"))
            while not asking.done():
                await clock.advance(0.01 if clock.sleepers else 0)
            try:
                answer = asking.result()
                story.append(answer.status)
                shown = answer.data["items"] if answer.status == 200 else []
            except (aiohttp.ClientError, ValueError) as error:
                story.append(type(error).__name__)
                continue
            now = service.time()
            for one in shown:
                entries = service.history(one["id"])
                ends = [*(entry.at for entry in entries[1:]), now]
                assert any(
                    entry.status == one["status"] and until >= now - 2.5
                    for entry, until in zip(entries, ends, strict=True)
                )
            await clock.advance(0.4)
        stories.append(story)
    assert stories[0] == stories[1]
    assert {200, 429, "ServerDisconnectedError"} <= set(stories[0])
