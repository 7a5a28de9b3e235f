"""Diagrams of the model: nothing covers anything else, whatever the model is, and the same model looks the same."""

from __future__ import annotations

import re
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lives import HOSTILE, of_class, parsed, texts

from titan_state import Action, Lifecycle
from titan_state.core.lifecycle import Move
from titan_state.drawing.dot import model_dot, quoted
from titan_state.drawing.layout import layout_of
from titan_state.drawing.model import model_svg
from titan_state.drawing.shapes import MOVE_LETTERS, Layout, Stroke

DEFAULT = Lifecycle.default()
EXTENDED = DEFAULT.extend(
    statuses=["pausing", "preparing", "uploading"],
    terminal=["archived"],
    moves=[
        Move("pause", "running", "pausing", Action.PAUSE),
        Move("settle", "pausing", "paused"),
        Move("prepare", "queued", "preparing"),
        Move("go", "preparing", "running"),
        Move("upload", "running", "uploading"),
        Move("uploaded", "uploading", "completed"),
        Move("fail", "uploading", "failed"),
        Move("requeue", "running", "queued"),
        Move("archive", "queued", "archived"),
    ],
    without=["pause"],
)
NAMES = (
    "a",
    "preparing",
    "完了",
    "größer",
    "a_status_with_a_name_that_is_longer_than_any_box_could_be_wide",
    "i" * 300,
)


@st.composite
def models(draw: st.DrawFn) -> Lifecycle:
    """Return the default model with further statuses, each of which can be reached and left, and further moves."""
    further = draw(st.lists(st.sampled_from([*NAMES, "b", "c", "d", "e", "f"]), unique=True, max_size=8))
    count = draw(st.integers(0, len(further)))
    statuses, ends = further[:count], further[count:]
    live = ["queued", "running", "paused"]
    moves = []
    for status in statuses:
        moves.append(Move(f"enter_{status}", draw(st.sampled_from(live)), status))
        live.append(status)
    exits = st.sampled_from(["running", "completed", *ends])
    moves += [Move(f"leave_{status}", status, draw(exits)) for status in statuses]
    moves += [Move(f"end_{status}", draw(st.sampled_from(live)), status) for status in ends]
    everything = [*live, *DEFAULT.terminal, *ends]
    actions = st.sampled_from([None, None, Action.STOP])
    taken = set()
    for number in range(draw(st.integers(0, 8))):
        dest, action = draw(st.sampled_from(sorted(everything))), draw(actions)
        for source in draw(st.lists(st.sampled_from(live), unique=True, max_size=4)):
            known = {"queued", "running", "paused"} if action is not None else set()
            if source != dest and source not in known and (source, action) not in taken:
                moves.append(Move(f"more_{number}", source, dest, action))
                taken |= {(source, action)} if action is not None else set()
    return DEFAULT.extend(statuses=statuses, terminal=ends, moves=moves)


def points(stroke: Stroke) -> list[tuple[float, float]]:
    """Return points along a line, a few pixels apart."""
    if stroke.is_curve:
        (x0, y0), (x1, y1) = stroke.points
        middle = (x0 + x1) / 2
        found = []
        for step in range(25):
            t = step / 24
            a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            found.append((a * x0 + (b + c) * middle + d * x1, (a + b) * y0 + (c + d) * y1))
        return found
    return [
        (first[0] + (second[0] - first[0]) * step / 24, first[1] + (second[1] - first[1]) * step / 24)
        for first, second in pairwise(stroke.points)
        for step in range(25)
    ]


def assert_clear(layout: Layout) -> None:
    """Assert that nothing covers anything else, and that all is within the picture."""
    boxes = {box.status: (box.x, box.y, box.x + box.width, box.y + box.height) for box in layout.boxes}
    letters = {
        one.bundle.name: (one.label.left, one.label.y - MOVE_LETTERS * 0.8, one.label.right, one.label.y + 2)
        for one in layout.drawn
    }
    areas = [*boxes.values(), *letters.values()]
    for left, top, right, bottom in areas:
        assert left >= 0
        assert top >= 0
        assert right <= layout.width
        assert bottom <= layout.height
    for first, second in combinations(areas, 2):
        is_beside = first[2] <= second[0] or second[2] <= first[0]
        assert is_beside or first[3] <= second[1] or second[3] <= first[1], (first, second)
    for one in layout.drawn:
        foreign = [area for name, area in letters.items() if name != one.bundle.name]
        for stroke in one.strokes:
            for x, y in points(stroke):
                assert 0 <= x <= layout.width
                assert 0 <= y <= layout.height
                for left, top, right, bottom in [*boxes.values(), *foreign]:
                    assert not (left + 0.5 < x < right - 0.5 and top + 0.5 < y < bottom - 0.5), one.bundle.name


@pytest.mark.parametrize("model", [DEFAULT, EXTENDED], ids=["default", "extended"])
def test_nothing_covers_anything_else(model):
    """Boxes, letters and lines have room of their own."""
    assert_clear(layout_of(model))


@settings(max_examples=60)
@given(model=models())
def test_any_model_has_a_clear_picture(model):
    """Whatever statuses and moves there are: all are drawn, nothing covers anything else, and it can be written."""
    layout = layout_of(model)
    assert [box.status for box in layout.boxes] == [*model.statuses]
    assert {one.bundle.name for one in layout.drawn} == {move.name for move in model.moves}
    assert_clear(layout)
    assert len(of_class(parsed(model_svg(model)), "count")) == len(model.statuses)


def test_lines_begin_and_end_at_their_boxes():
    """Each move touches the boxes of its sources, and its arrow the box that it leads to."""
    for model in (DEFAULT, EXTENDED):
        layout = layout_of(model)
        boxes = {box.status: box for box in layout.boxes}
        for one in layout.drawn:
            goal = boxes[one.bundle.dest]
            assert goal.x <= one.tip[0] <= goal.x + goal.width
            assert goal.y <= one.tip[1] <= goal.y + goal.height
            ends = [stroke.points[0] for stroke in one.strokes]
            for source in one.bundle.sources:
                box = boxes[source]
                assert any(
                    box.x - 0.01 <= x <= box.x + box.width + 0.01 and box.y - 0.01 <= y <= box.y + box.height + 0.01
                    for x, y in ends
                ), (one.bundle.name, source)


def test_the_default_model_reads_from_left_to_right():
    """It begins on the left, what is live shares a column, and what has finished is on the right."""
    boxes = {box.status: box for box in layout_of(DEFAULT).boxes}
    assert boxes["queued"].x < boxes["running"].x == boxes["paused"].x < boxes["completed"].x
    assert len({boxes[status].x for status in DEFAULT.terminal}) == 1
    assert boxes["running"].y < boxes["paused"].y


def test_a_model_of_one_status():
    """The smallest model there can be is a box and the way into it."""
    layout = layout_of(Lifecycle(["a"], [], initial="a", terminal=["a"]))
    assert len(layout.boxes) == 1
    assert_clear(layout)


def test_what_is_in_the_picture():
    """Statuses have sign, name and an empty count; moves have names and say whether an action causes them."""
    svg = model_svg(DEFAULT)
    root = parsed(svg)
    assert svg == model_svg(DEFAULT)
    assert (root.get("role"), root.get("class")) == ("img", "model")
    assert root.find("title") is not None
    groups = {one.get("data-status"): one for one in of_class(root, "status") if one.get("data-status")}
    assert [*groups] == [*DEFAULT.statuses]
    for status, group in groups.items():
        (count,) = of_class(group, "count")
        assert (count.get("data-count"), count.text) == (status, None)
        assert f"status-{status}" in group.get("class", "")
        assert ("is-terminal" in group.get("class", "")) == DEFAULT.is_terminal(status)
        assert len(of_class(group, "border")) == DEFAULT.is_terminal(status)
    assert "▶ running" in texts(groups["running"], "name")
    moves = {one.get("data-move"): one.get("class") for one in of_class(root, "move") if one.get("data-move")}
    assert {name for name, class_ in moves.items() if class_ == "move is-action"} == {"pause", "resume", "stop"}
    assert sorted(texts(root, "move-label")) == sorted(moves)
    assert len(of_class(root, "meaning")) == 3


def test_pictures_need_no_inline_style():
    """Within a page there is no style in them; as a file of its own a picture has its styles in it."""
    inline = parsed(model_svg(DEFAULT))
    assert not [one for one in inline.iter() if one.tag in {"style", "script"} or one.get("style") or one.get("id")]
    alone = parsed(model_svg(DEFAULT, standalone=True, with_counts=False))
    style = alone.find("style")
    assert style is not None
    assert "--running" in (style.text or "")
    assert not of_class(alone, "count")
    assert len(of_class(alone, "backdrop")) == 1


def test_a_status_outside_the_palette():
    """It has the colour of others, and a sign that says that nothing is known of it."""
    root = parsed(model_svg(EXTENDED))
    (group,) = [one for one in of_class(root, "status") if one.get("data-status") == "pausing"]
    assert "status-other" in group.get("class", "")
    assert texts(group, "name") == ["? pausing"]


def test_dot_has_every_status_and_move():
    """The DOT text names all of them, with double borders and dashed edges."""
    text = model_dot(DEFAULT)
    assert text.startswith("digraph lifecycle {\n")
    assert text.endswith("}\n")
    assert '    "completed" [peripheries=2];' in text.splitlines()
    assert '    "queued";' in text.splitlines()
    assert '    "running" -> "paused" [label="pause", style=dashed];' in text.splitlines()
    assert '    "queued" -> "running" [label="start"];' in text.splitlines()
    assert text.count("->") == len(DEFAULT.moves) + 1


@pytest.mark.parametrize("text", ['a"b', "a\\", 'a\\"; b -> c', HOSTILE, "\n", "\\N"])
def test_dot_strings_cannot_be_left(text):
    """Quotes and backslashes are escaped, and nothing else ends a line."""
    found = quoted(text)
    assert re.fullmatch(r'"(?:[^"\\\n]|\\["\\])*"', found)
