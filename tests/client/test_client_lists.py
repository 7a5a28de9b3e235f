"""Lists: found in every shape, page by page; items that are broken are left out one by one, and counted."""

from __future__ import annotations

import pytest

from titan_state.client.profile import ServiceProfile
from titan_state.client.shapes import MOST_REJECTED
from titan_state.emulator import Plan, Scenario
from titan_state.errors import (
    PayloadError,
)

GOOD = {"id": "e1", "status": "running"}

ALSO_GOOD = {"id": "e2", "status": "queued", "progress": 0.5}

BROKEN = [
    None,
    5,
    "text",
    [],
    {},
    {"id": "e"},
    {"status": "running"},
    {"id": "", "status": "x"},
    {"id": "e", "status": 5},
]


@pytest.mark.parametrize("shape", ["items", "executions", "array"])
async def test_lists_are_read_in_each_shape(emulate, connect, shape):
    """Where a deployment puts the items and the total is found by itself, page by page."""
    service = await emulate(Scenario(plans=[Plan()] * 7), list_shape=shape)
    client = await connect(service.url, service.token)
    pages = [(await client.list(limit=3, offset=offset)).value for offset in (0, 3, 6, 9)]
    assert [len(page.items) for page in pages] == [3, 3, 1, 0]
    assert {item.id for page in pages for item in page.items} == set(service.executions())
    assert {page.total for page in pages} == {None if shape == "array" else 7}
    assert [(page.offset, page.limit, page.count) for page in pages] == [(0, 3, 3), (3, 3, 3), (6, 3, 1), (9, 3, 0)]
    assert service.requests[1].query == {"limit": "3", "offset": "3"}
    assert len((await client.list_tasks()).value.items) == len(service.tasks())


async def test_the_page_limit_of_the_profile_is_the_default(connect, hostile):
    """Without a limit, as many are asked for as the profile says."""
    hostile.say([])
    client = await connect(hostile.url, profile=ServiceProfile(page_limit=7))
    await client.list()
    await client.list(task_id="t", limit=2, offset=4)
    await client.list_tasks()
    assert hostile.targets == [
        "/api/v1/executions?limit=7&offset=0",
        "/api/v1/tasks/t/executions?limit=2&offset=4",
        "/api/v1/tasks?limit=7&offset=0",
    ]


@pytest.mark.parametrize(
    ("data", "total"),
    [
        ([GOOD], None),
        ({"items": [GOOD], "total": 9}, 9),
        ({"executions": [GOOD], "total_count": 9}, 9),
        ({"results": [GOOD], "totalCount": 0}, 0),
        ({"data": [GOOD], "count": 9}, None),
        ({"rows": [GOOD]}, None),
        ({"items": None, "rows": [GOOD]}, None),
        ({"items": [GOOD], "total": True}, None),
        ({"items": [GOOD], "total": -1}, None),
        ({"items": [GOOD], "total": "9"}, None),
        ({"items": [GOOD], "total": 9.5, "totalCount": 9}, 9),
        ({"items": [GOOD], "total": [], "total_count": {}}, None),
    ],
)
async def test_items_and_total_are_found(client, hostile, data, total):
    """The first key that holds a list gives the items, the first that holds a count the total."""
    hostile.say({"success": True, "data": data})
    page = (await client.list()).value
    assert [item.id for item in page.items] == ["e1"]
    assert page.total == total


@pytest.mark.parametrize(
    ("offset", "count", "total", "is_last"),
    [
        (0, 0, None, True),
        (6, 0, 7, True),
        (0, 2, None, None),
        (0, 2, 2, True),
        (0, 2, 7, False),
        (0, 3, 7, False),
        (3, 3, 7, False),
        (6, 1, 7, True),
        (3, 3, 6, True),
        (0, 3, 3, None),  # all there are, or all that a page holds
        (3, 3, 3, None),
        (3, 1, 1, None),
        (0, 2, 0, None),
    ],
)
async def test_a_total_is_believed_where_it_can_be_one(client, hostile, offset, count, total, is_last):
    """Some services send the number of items on the page as the total; then only a further page tells the end."""
    items = [{"id": f"e{offset + number}", "status": "running"} for number in range(count)]
    hostile.say({"success": True, "data": {"items": items, "total": total}})
    assert (await client.list(limit=3, offset=offset)).value.is_last is is_last


async def test_a_list_without_an_envelope_is_read(client, hostile):
    """A bare array and an object with items are lists, also where there is no `data`."""
    for body in ([GOOD], {"items": [GOOD]}):
        hostile.say(body)
        assert len((await client.list()).value.items) == 1


async def test_a_profile_names_other_keys(connect, hostile):
    """A deployment that puts its list elsewhere needs a profile and nothing more."""
    hostile.say({"data": {"hits": [GOOD], "found": 3, "items": [ALSO_GOOD]}})
    client = await connect(hostile.url, profile=ServiceProfile(item_keys=["hits"], total_keys=["found"]))
    page = (await client.list()).value
    assert ([item.id for item in page.items], page.total) == (["e1"], 3)


@pytest.mark.parametrize("data", [None, {}, 5, "text", {"items": None}, {"items": {"0": GOOD}}, {"total": 3}])
async def test_an_answer_without_a_list_is_a_payload_error(client, hostile, data):
    """What holds no list is no empty page."""
    hostile.say({"success": True, "data": data})
    for ask in (client.list, client.list_tasks):
        with pytest.raises(PayloadError, match="no list is in the answer") as raised:
            await ask()
        assert raised.value.sent_at is not None
        assert raised.value.request.startswith("GET /")


async def test_broken_items_are_rejected_one_by_one_and_counted(client, hostile):
    """An item that is no execution does not spoil its page; what is left out is told and counted."""
    hostile.say({"data": [GOOD, *BROKEN, ALSO_GOOD, GOOD | {"created_at": "never", "progress": []}]})
    page = (await client.list()).value
    assert [item.id for item in page.items] == ["e1", "e2", "e1"]
    assert (page.count, len(page.rejected)) == (len(BROKEN) + 3, len(BROKEN))
    assert all(isinstance(error, PayloadError) and str(error) for error in page.rejected)
    assert client.statistics.rejected == len(BROKEN)
    assert client.statistics.dropped == {"created_at": 1, "progress": 1}
    await client.list()
    assert client.statistics.rejected == 2 * len(BROKEN)


async def test_broken_tasks_are_rejected_too(client, hostile):
    """What is no task is left out; fields of wrong types are none, a number for an id is taken as text."""
    hostile.say({"data": [{"id": "t", "status": 5, "name": [], "x": 1}, {"id": 7, "status": "active"}, {}, None, 3]})
    page = (await client.list_tasks()).value
    assert [(item.id, item.status, item.name, dict(item.extra)) for item in page.items] == [
        ("t", None, None, {"x": 1}),
        ("7", "active", None, {}),
    ]
    assert client.statistics.rejected == len(page.rejected) == 3


async def test_a_page_of_rubbish_is_refused_as_a_whole(client, hostile):
    """Millions of broken items leave no millions of errors: the page is given up, soon."""
    hostile.say({"data": [GOOD, *[0] * MOST_REJECTED]})
    assert len((await client.list()).value.rejected) == MOST_REJECTED
    hostile.say({"data": [0] * 500_000})
    with pytest.raises(PayloadError, match="of 500000 items, more than 1000 cannot be read"):
        await client.list()


async def test_dropped_fields_are_counted_wherever_they_come(client, hostile):
    """A field that cannot be read is counted by name, from reads and from answers to control."""
    hostile.say(GOOD | {"progress": "half"})
    assert (await client.get("e1")).value.dropped == ("progress",)
    await client.pause("e1")
    assert client.statistics.dropped == {"progress": 2}
