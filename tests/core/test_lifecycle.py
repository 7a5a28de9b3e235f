"""The formal model: what is compiled is held against the machine itself, and bad definitions are named."""

from __future__ import annotations

import re
from collections import Counter, deque
from enum import Enum
from itertools import combinations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transitions import MachineError

from titan_state.core.lifecycle import DEFAULT_MOVES, Action, Lifecycle, Move, Order, Status, Verdict
from titan_state.errors import DefinitionError, UnknownActionError

DEFAULT = Lifecycle.default()
PAIRS = [(source, dest) for source in Status for dest in Status]
EXPECTED = [frozenset(some) for count in range(len(Action) + 1) for some in combinations(Action, count)]
TABLE = [
    ("start", "queued", "running", None),
    ("pause", "running", "paused", "pause"),
    ("resume", "paused", "running", "resume"),
    ("stop", "queued", "cancelled", "stop"),
    ("stop", "running", "cancelled", "stop"),
    ("stop", "paused", "cancelled", "stop"),
    ("complete", "running", "completed", None),
    ("complete_with_errors", "running", "completed_with_errors", None),
    ("fail", "queued", "failed", None),
    ("fail", "running", "failed", None),
    ("fail", "paused", "failed", None),
]


@attrs.define
class Record:
    status: str


def fires(lifecycle, status):
    """Return what each move of the machine does to a record in `status`: try them all, ask no table."""
    found = {}
    for name, event in lifecycle.machine.events.items():
        record = Record(status)
        try:
            event.trigger(record)
        except MachineError:
            assert record.status == status
        else:
            found[name] = record.status
    return found


def cost(way, actions, expected):
    """Return how a way ranks: by its length, then by the actions that nobody expects, then by those expected."""
    caused = [actions[name] for name in way if name in actions]
    ours = sum(action in expected for action in caused)
    return len(way), len(caused) - ours, -ours


def distances(drive, actions, source, expected=frozenset()):
    """Return the rank of the best way to each status: by going every way that is worth going."""
    best = {source: (0, 0, 0)}
    queue = deque([(source, ())])
    while queue:
        status, way = queue.popleft()
        for name, dest in drive[status].items():
            rank = cost((*way, name), actions, expected)
            if dest not in best or rank < best[dest]:
                best[dest] = rank
                queue.append((dest, (*way, name)))
    return best


def assert_path_agrees(lifecycle, source, dest, best, expected):
    path = lifecycle.path(source, dest, expected=expected)
    if path is None:
        assert dest not in best
        return
    record = Record(source)
    for move in path:
        assert move.source == record.status
        lifecycle.advance(record, move.name)
        assert move.dest == record.status
    assert record.status == dest
    actions = {move.name: move.action for move in path if move.action is not None}
    assert cost([move.name for move in path], actions, expected) == best[dest]
    if not expected:
        assert path == lifecycle.path(source, dest)


def shown(drive, actions, source, action):
    """Return where an execution may be that an action has moved from `source`."""
    caused = {
        status: [end for name, end in ends.items() if actions.get(name) is action] for status, ends in drive.items()
    }
    barred = {status for status, ends in caused.items() if ends}
    return {end for first in caused[source] for end in alone(drive, actions, first, barred)}


def alone(drive, actions, source, barred=frozenset()):
    """Return where an execution in `source` may be next, by letting the platform drive on."""
    found = {source}
    queue = deque(found)
    while queue:
        for name, dest in drive[queue.popleft()].items():
            if name not in actions and dest not in found and dest not in barred:
                found.add(dest)
                queue.append(dest)
    return found


def assert_compiled_answers_agree(lifecycle):
    """Hold path, order, verdict and effects against the machine, for every pair and every action."""
    drive = {status: fires(lifecycle, status) for status in lifecycle.statuses}
    actions = {move.name: move.action for move in lifecycle.moves if move.action is not None}
    best = {status: distances(drive, actions, status) for status in lifecycle.statuses}
    for source in lifecycle.statuses:
        for expected in EXPECTED:
            ranks = distances(drive, actions, source, expected)
            for dest in lifecycle.statuses:
                assert_path_agrees(lifecycle, source, dest, ranks, expected)
        for dest in lifecycle.statuses:
            there, back = dest in best[source], source in best[dest]
            expected_order = {
                (True, True): Order.SAME if source == dest else Order.BOTH,
                (True, False): Order.FORWARD,
                (False, True): Order.BACKWARD,
                (False, False): Order.NONE,
            }[there, back]
            assert lifecycle.order(source, dest) is expected_order
        legal = drive[source]
        assert not (source in lifecycle.terminal and legal)
        for action in Action:
            ends = {
                move.dest
                for move in lifecycle.moves
                if move.action is action and move.source == source and legal.get(move.name) == move.dest
            }
            verdict = lifecycle.verdict(source, action)
            assert verdict.allowed is bool(ends)
            assert {verdict.leads_to} == (ends or {None})
            by_itself = alone(drive, actions, source) - ends
            assert lifecycle.effects(action, source) == shown(drive, actions, source, action) - by_itself
    for action in Action:
        assert lifecycle.effects(action) == {
            status for source in lifecycle.statuses for status in shown(drive, actions, source, action)
        }


@st.composite
def extensions(draw):
    """Draw an extension of the default model that contradicts nothing, as arguments of `extend`."""
    live = draw(st.lists(st.sampled_from(["assigned", "pausing", "retrying", "ingesting"]), unique=True))
    ends = draw(st.lists(st.sampled_from(["expired", "rejected"]), unique=True))
    moves = []
    known = ["queued", "running", "paused"]
    for status in live + ends:
        action = draw(st.sampled_from([None, None, *Action])) if status in live else None
        sources = draw(st.lists(st.sampled_from(known), min_size=1, unique=True))
        taken = {(move.source, move.action) for move in DEFAULT_MOVES}
        if any((source, action) in taken for source in sources):
            action = None
        moves += [Move(f"to_{status}", source, status, action) for source in sources]
        if status in live:
            known.append(status)
    for number, (source, dest) in enumerate(
        draw(st.lists(st.tuples(st.sampled_from(known), st.sampled_from([*known, *ends, *DEFAULT.terminal]))))
    ):
        if source != dest:
            moves.append(Move(f"more_{number}", source, dest))
    taken = {(move.source, move.action): move.dest for move in (*moves, *DEFAULT_MOVES) if move.action}
    kept = [
        move for move in moves if move.action is None or taken[move.source, move.action] == move.dest
    ]  # a later one with the same action from the same status would contradict the earlier one
    left = {move.source for move in kept}
    kept += [Move(f"out_of_{status}", status, "running") for status in live if status not in left]
    reached = {move.dest for move in kept}
    kept += [Move(f"into_{status}", "queued", status) for status in live + ends if status not in reached]
    return {"statuses": live, "terminal": ends, "moves": kept}


@pytest.mark.parametrize(("name", "source", "dest", "action"), TABLE)
def test_every_row_of_the_table_is_a_move(name, source, dest, action):
    """Each documented row is in the model, is driven by the machine, and is an action where it says so."""
    assert Move(name, source, dest, action) in DEFAULT.moves
    record = Record(source)
    DEFAULT.advance(record, name)
    assert record.status == dest
    assert DEFAULT.path(source, dest)[-1].dest == dest


def test_default_model_has_the_rows_of_the_table_and_no_others():
    """Statuses, terminal statuses and moves of the default model are those of the table."""
    assert DEFAULT is Lifecycle.default()
    assert DEFAULT.statuses == tuple(Status)
    assert DEFAULT.terminal == {"completed", "completed_with_errors", "failed", "cancelled"}
    assert DEFAULT.initial == "queued"
    assert sorted((move.name, move.source, move.dest, move.action or "") for move in DEFAULT.moves) == sorted(
        (*row[:3], row[3] or "") for row in TABLE
    )
    assert repr(DEFAULT) == "<Lifecycle of 7 statuses and 11 moves>"
    assert all(DEFAULT.is_terminal(status) is (status in DEFAULT.terminal) for status in Status)
    assert DEFAULT.knows("queued")
    assert not DEFAULT.knows("assigned")


def test_compiled_answers_of_the_default_model_agree_with_the_machine():
    """Path, order, verdict and effects say the same as driving records through the machine, for every pair."""
    assert_compiled_answers_agree(DEFAULT)


@given(extensions())
def test_compiled_answers_of_extended_models_agree_with_the_machine(extension):
    """The same holds for any valid extension, and extending leaves the default model as it was."""
    before = (DEFAULT.statuses, DEFAULT.moves, DEFAULT.terminal, DEFAULT.diagram())
    extended = DEFAULT.extend(**extension)
    assert_compiled_answers_agree(extended)
    assert_diagram_agrees(extended)
    assert before == (DEFAULT.statuses, DEFAULT.moves, DEFAULT.terminal, DEFAULT.diagram())
    assert set(extension["statuses"]).isdisjoint(extended.terminal)
    assert DEFAULT.terminal | set(extension["terminal"]) == extended.terminal


@given(st.data())
def test_random_walks_stay_within_what_the_model_says(data):
    """Wherever legal moves lead, each status on the way is ordered before or beside the later ones."""
    lifecycle = DEFAULT.extend(**data.draw(extensions()))
    record = Record(lifecycle.initial)
    walked = [record.status]
    while (legal := sorted(fires(lifecycle, record.status))) and len(walked) < 12:
        lifecycle.advance(record, data.draw(st.sampled_from(legal)))
        walked.append(record.status)
    for index, earlier in enumerate(walked):
        for later in walked[index + 1 :]:
            path = lifecycle.path(earlier, later)
            assert path is not None
            assert len(path) <= len(walked)
            assert lifecycle.order(earlier, later) in {Order.SAME, Order.FORWARD, Order.BOTH}


@pytest.mark.parametrize("status", Status)
def test_illegal_move_changes_nothing(status):
    """A move that the status does not allow raises, and the record keeps its status."""
    for name, event in DEFAULT.machine.events.items():
        if status not in event.transitions:
            record = Record(status)
            with pytest.raises(MachineError):
                DEFAULT.advance(record, name)
            assert record.status == status


def test_record_may_hold_a_member_of_status():
    """A `Status` is as good as its value, although the machine would look for its upper-case name."""
    record = Record(Status.QUEUED)
    DEFAULT.advance(record, "start")
    assert record.status == "running"


def test_machine_keeps_no_records():
    """The shared machine has no models of its own, so records cost nothing there."""
    record = Record("queued")
    DEFAULT.advance(record, "start")
    assert DEFAULT.machine.models == []


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        (
            {"moves": [Move("x", "queued", "nowhere")]},
            "move 'x' from 'queued' to 'nowhere': status 'nowhere' is not",
        ),
        ({"moves": [Move("x", "limbo", "failed")]}, "status 'limbo' is not among the statuses"),
        (
            {"moves": [Move("again", "failed", "queued")]},
            "move 'again' from 'failed' to 'queued': it leaves a terminal",
        ),
        ({"terminal": ["running"]}, "it leaves a terminal status"),
        ({"statuses": ["island"]}, "no move leads from 'queued' to 'island'"),
        (
            {"moves": [Move("start", "paused", "failed")]},
            "move 'start' from 'paused' to 'failed': the move of that name from 'queued' leads to 'running' already",
        ),
        ({"moves": [Move("start", "queued", "failed")]}, "of that name from 'queued' leads to 'running' already"),
        (
            {"moves": [Move("start", "paused", "running", Action.RESUME)]},
            "the move of that name from 'queued' has no action, but this has; choose another name",
        ),
        (
            {"statuses": ["assigned"], "moves": [Move("stop", "assigned", "cancelled")]},
            "the move of that name from 'queued' is caused by an action; give this one action=Action.STOP, too",
        ),
        (
            {"statuses": ["assigned"], "moves": [Move("assign", "queued", "assigned")]},
            "no move leaves 'assigned', so an execution would stay there for ever: add a move, or name it in terminal=",
        ),
        (
            {"moves": [("again", "paused", "queued")]},
            "moves= takes moves, as Move('start', 'queued', 'running'), not ('again', 'paused', 'queued')",
        ),
        ({"moves": [Move("halt", "queued", "failed", Action.STOP)]}, "stop leads from there to 'cancelled' already"),
        ({"moves": [Move("stay", "running", "running")]}, "it leads nowhere"),
        ({"moves": [Move("two words", "queued", "running")]}, "its name is not made of letters"),
        ({"statuses": ["two words"]}, "status 'two words' is not a name of letters"),
        ({"statuses": [""]}, "status '' is not a name"),
        ({"statuses": "assigned"}, "statuses= takes several names, not the one text 'assigned'"),
        ({"terminal": "expired"}, "terminal= takes several names, not the one text 'expired'"),
        ({"without": "stop"}, "without= takes several names, not the one text 'stop'"),
        ({"statuses": [None]}, "a name in statuses= must be a text, not None"),
        ({"initial": "nowhere"}, "the initial status 'nowhere' is not among the statuses"),
        ({"initial": 7}, "initial= must be a text, not 7"),
        ({"initial": "running"}, "no move leads from 'running' to 'queued'"),
        ({"without": ["bogus", "start"]}, "without= names moves that the model does not have: 'bogus'"),
    ],
)
def test_bad_definition_names_its_fault(extension, message):
    """A model that contradicts itself is refused, and the message says what is wrong where."""
    with pytest.raises(DefinitionError, match=re.escape(message)):
        DEFAULT.extend(**extension)


def test_names_of_a_move_must_be_texts():
    """What is no text is refused when the move is made, not when a model is."""
    with pytest.raises(DefinitionError, match="a name in a move must be a text, not None"):
        Move("assign", None, "running")


def test_statuses_may_be_members_of_any_enum_of_texts():
    """A status that is given by a member of the user's own enum is its value, however that enum prints itself."""

    class Ours(str, Enum):  # noqa: UP042 - a StrEnum prints itself as its value anyway
        ASSIGNED = "assigned"

    moves = [Move("assign", Status.QUEUED, Ours.ASSIGNED), Move("begin", Ours.ASSIGNED, "running")]
    model = DEFAULT.extend(statuses=[Ours.ASSIGNED], moves=moves)
    assert model.statuses[-1] == "assigned"
    assert type(model.statuses[-1]) is str
    assert str(model.path("queued", "assigned")[0].dest) == "assigned"


def test_terminal_status_must_be_a_status():
    """A terminal status outside the statuses is refused."""
    with pytest.raises(DefinitionError, match="the terminal status 'b' is not among the statuses"):
        Lifecycle(["a"], [], initial="a", terminal=["b"])


def test_action_of_a_move_may_be_given_by_name():
    """The name of an action is as good as the action; any other name is refused when the move is made."""
    assert Move("pause", "running", "paused", "pause").action is Action.PAUSE
    with pytest.raises(DefinitionError, match=r"no action 'abort': 'pause' or 'resume' or 'stop'"):
        Move("abort", "running", "failed", "abort")


def test_extension_may_replace_moves():
    """With `without`, a deployment that assigns before it runs has its own way from queued to running."""
    lifecycle = DEFAULT.extend(
        statuses=["assigned"],
        moves=[Move("assign", "queued", "assigned"), Move("begin", "assigned", "running")],
        without=["start"],
    )
    assert [move.name for move in lifecycle.path("queued", "running")] == ["assign", "begin"]
    assert lifecycle.order("assigned", "queued") is Order.BACKWARD
    assert not lifecycle.verdict("assigned", Action.PAUSE)


def test_shorter_ways_and_then_fewer_actions_are_preferred():
    """Among ways of equal length the one with fewer actions is taken, whichever was defined first."""
    lifecycle = Lifecycle(
        ["a", "b", "c", "d"],
        [Move("pause", "a", "b", Action.PAUSE), Move("on", "b", "d"), Move("go", "a", "c"), Move("end", "c", "d")],
        initial="a",
        terminal=["d"],
    )
    assert [move.name for move in lifecycle.path("a", "d")] == ["go", "end"]
    assert lifecycle.path("a", "a") == ()
    assert lifecycle.path("d", "a") is None


def test_actions_that_are_expected_are_preferred_to_moves_of_the_platform():
    """Between the same ends an action of ours is taken where it is expected, the platform's move where it is not."""
    lifecycle = DEFAULT.extend(moves=[Move("auto_pause", "running", "paused"), Move("expire", "queued", "cancelled")])

    def way(source, dest, *expected):
        return [move.name for move in lifecycle.path(source, dest, expected=frozenset(expected))]

    assert way("running", "paused") == ["auto_pause"]
    assert way("running", "paused", Action.STOP) == ["auto_pause"]
    assert way("running", "paused", Action.PAUSE) == ["pause"]
    assert way("queued", "paused", Action.STOP, Action.PAUSE) == ["start", "pause"]
    assert way("queued", "cancelled", Action.STOP) == ["stop"]
    assert way("queued", "running", *Action) == ["start"]


def test_an_action_shows_where_the_platform_leads_on():
    """An action that begins something shows also where the platform ends it, and not where it may yet be sent."""
    lifecycle = DEFAULT.extend(
        statuses=["pausing", "retrying"],
        moves=[
            Move("pause", "running", "pausing", Action.PAUSE),
            Move("settle", "pausing", "paused"),
            Move("auto_pause", "running", "paused"),
            Move("retry", "running", "retrying"),
            Move("again", "retrying", "running"),
        ],
        without=["pause"],
    )
    assert lifecycle.effects(Action.PAUSE) == {"pausing", "paused", "failed"}
    assert lifecycle.effects(Action.PAUSE, "running") == {"pausing"}
    assert lifecycle.effects(Action.PAUSE, "paused") == frozenset()
    ends = {"completed", "completed_with_errors", "failed"}
    assert lifecycle.effects("resume") == {"running", "retrying", *ends}
    assert lifecycle.effects("resume", "paused") == {"running", "retrying", *ends} - {"failed"}
    assert lifecycle.effects(Action.STOP) == {"cancelled"}
    with pytest.raises(ValueError, match="abort"):
        lifecycle.effects("abort")


def test_an_action_does_not_show_beyond_where_it_is_legal_again():
    """What the platform reaches only by undoing an action says nothing of it: the action may never have been."""
    lifecycle = DEFAULT.extend(
        statuses=["retrying"],
        moves=[
            Move("auto_resume", "paused", "running"),
            Move("retry", "running", "retrying"),
            Move("again", "retrying", "running"),
        ],
    )
    assert lifecycle.effects(Action.PAUSE) == {"paused", "failed"}


def test_a_second_action_of_one_name_may_lead_on_itself():
    """Where an action is legal also in the status that it leads to, that one shows the first and not the second."""
    lifecycle = DEFAULT.extend(
        statuses=["stopping"],
        moves=[
            Move("halt", "running", "stopping", Action.STOP),
            Move("stop", "stopping", "cancelled", Action.STOP),
            Move("stop", "queued", "cancelled", Action.STOP),
            Move("stopped", "stopping", "cancelled"),
        ],
        without=["stop"],
    )
    assert lifecycle.effects(Action.STOP, "running") == {"stopping", "cancelled"}
    assert lifecycle.effects(Action.STOP, "stopping") == {"cancelled"}


@pytest.mark.parametrize("pair", [("queued", "bogus"), ("bogus", "queued"), ("bogus", "bogus")])
def test_questions_about_unknown_statuses_are_refused(pair):
    """Path and order name the status that the model does not have, and those that it has."""
    for question in (DEFAULT.path, DEFAULT.order):
        with pytest.raises(DefinitionError, match=r"status 'bogus' is not in the model: 'cancelled' or"):
            question(*pair)


def test_verdict_is_true_or_false_like_a_bool():
    """A verdict stands for whether the action is allowed."""
    assert Verdict(allowed=True, reason="")
    assert not Verdict(allowed=False, reason="")
    assert bool(DEFAULT.verdict(Status.RUNNING, "pause")) is True


@pytest.mark.parametrize(
    ("status", "action", "reason"),
    [
        ("running", "pause", "pause leads from running to paused"),
        ("queued", "pause", "pause is not legal in queued: only 'running' allows it"),
        ("completed", "stop", "it has finished: completed is terminal, nothing leaves it"),
        ("bogus\x1b", "stop", "status 'bogus�' is not in the model; extend the lifecycle if it is legal here"),
    ],
)
def test_verdict_says_why(status, action, reason):
    """The reason names the statuses, and holds no control characters."""
    verdict = DEFAULT.verdict(status, action)
    assert verdict.reason == reason
    assert verdict.as_of is None


def test_action_without_moves_is_legal_nowhere():
    """A model without pausing says that no status allows it."""
    lifecycle = DEFAULT.extend(
        without=["pause", "resume"], moves=[Move("hold", "running", "paused"), Move("release", "paused", "running")]
    )
    assert lifecycle.verdict("running", Action.PAUSE).reason.endswith("no status of this model allows it")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("abort", "there is no action 'abort': 'pause' or 'resume' or 'stop'"),
        ("puase", "there is no action 'puase': 'pause' or 'resume' or 'stop' (did you mean 'pause'?)"),
        ("Stop", "there is no action 'Stop': 'pause' or 'resume' or 'stop' (did you mean 'stop'?)"),
        ("", "there is no action '': 'pause' or 'resume' or 'stop'"),
        (None, "there is no action None: 'pause' or 'resume' or 'stop'"),
    ],
)
def test_verdict_on_no_action_is_an_error_that_names_the_nearest(name, told):
    """An action that does not exist is a mistake of the program, not a verdict, and a ValueError as well."""
    for ask in (Action, lambda name: DEFAULT.verdict("running", name), DEFAULT.effects):
        with pytest.raises(UnknownActionError) as raised:
            ask(name)
        assert str(raised.value) == told
        assert isinstance(raised.value, ValueError)
        assert raised.value.__context__ is None


def test_no_name_of_an_action_floods_the_message():
    """Whatever is taken for an action is shown cut and printable."""
    with pytest.raises(UnknownActionError) as raised:
        Action("\x1b[2Jstop" * 100_000)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


def assert_diagram_agrees(lifecycle):
    """Hold the lines of the diagram against the transitions of the machine."""
    first, *lines = lifecycle.diagram().splitlines()
    assert first == "stateDiagram-v2"
    drawn = Counter()
    for line in lines:
        source, dest, name, action = re.fullmatch(r"    (\S+) --> (\S+?)(?:: (\w+)( \(action\))?)?", line).groups()
        drawn[source, dest, name] += 1
        if name:
            assert bool(action) is any(move.name == name and move.action for move in lifecycle.moves)
    expected = Counter(
        (transition.source, transition.dest, name)
        for name, event in lifecycle.machine.events.items()
        for transitions in event.transitions.values()
        for transition in transitions
    )
    expected["[*]", lifecycle.initial, None] += 1
    expected.update((status, "[*]", None) for status in lifecycle.terminal)
    assert drawn == expected
    assert max(drawn.values()) == 1


def test_diagram_shows_the_machine_and_nothing_else():
    """Each transition of the machine is drawn once, with the beginning and the ends."""
    assert_diagram_agrees(DEFAULT)
