"""Exporting: which files there are in the end, what is said of each, and how it exits."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import get_args

import pytest

from titan_state.cli import options
from titan_state.cli.media import named
from titan_state.client import output_options
from titan_state.client.loading import files
from titan_state.client.service import TaskService
from titan_state.emulator import Faults, Plan, Scenario, Step, When

NEVER = None
EXPORT = ("export", "--per-minute", "60000")


def done(name, status="completed", **given):
    """Return a plan that is over before anybody looks."""
    return Plan(id=name, steps=(Step("running", 0), Step(status, 0)), **given)


def asked(service, *parts):
    """Return the paths of the requests that have one of the parts in them."""
    return [request.path for request in service.requests if any(part in request.path for part in parts)]


def names(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.parametrize("form", ["json", "csv"])
def test_an_export_is_what_the_service_has(serve, titan, tmp_path, form):
    """The file is the service's, byte for byte, in a directory that is made; its line has path and size."""
    service = serve(Scenario((done("a", rows=57),)))
    directory = tmp_path / "new" / "one"
    result = titan(*EXPORT, "a", "--format", form, "--output", directory, service=service)
    assert (result.exit_code, result.stderr) == (0, "")
    saved = service.export_bytes("a", form)
    assert (directory / f"a.{form}").read_bytes() == saved
    assert result.stdout == f"{directory / f'a.{form}'}  {len(saved) / 1000:.1f} kB\n"
    assert names(directory) == [f"a.{form}"]


def test_it_exports_to_where_one_is(serve, titan, tmp_path, monkeypatch):
    """Without --output files go to the current directory, with a name that no id can lead astray."""
    monkeypatch.chdir(tmp_path)
    service = serve(Scenario((done("../b c"),)))
    assert titan(*EXPORT, "../b c", service=service).exit_code == 0
    (path,) = tmp_path.glob("*.json")
    assert path.read_bytes() == service.export_bytes("../b c")


def test_datasets_are_written_as_the_library_has_them(serve, titan, tmp_path):
    """The list of datasets is a JSON file beside the export."""
    result = titan(*EXPORT, "a", "--datasets", "--output", tmp_path, service=serve(Scenario((done("a", rows=4),))))
    assert result.exit_code == 0, result.stderr
    (dataset,) = json.loads((tmp_path / "a.datasets.json").read_bytes())
    assert (dataset["id"], dataset["row_count"], dataset["execution_id"]) == ("dataset-a", 4, "a")
    assert len(result.stdout.splitlines()) == 2


@pytest.mark.parametrize("form", ["json", "csv"])
def test_media_of_the_rows_are_loaded_once_and_no_token_is_shown(serve, titan, tmp_path, form):
    """Each medium has a file, the export is loaded once, the status read once, and no line holds a credential."""
    service = serve(Scenario((done("a", rows=11),)))
    result = titan(*EXPORT, "a", "--media", "--format", form, "--output", tmp_path, "--debug", service=service)
    assert result.exit_code == 0, result.stderr
    (token,) = set(re.findall(r"token=([\w-]+)", (tmp_path / f"a.{form}").read_text()))
    assert token not in result.output
    found = [name.partition("-")[0] for name in names(tmp_path / "a.media")]
    assert sorted(found) == sorted(str(n) for n in range(1, 12))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "a.media").iterdir())
    assert len(asked(service, "/media/")) == 11
    assert len(asked(service, "/executions/a")) == 2
    assert len(result.stdout.splitlines()) == 12


def test_a_medium_that_fails_does_not_stop_the_others(serve, titan, tmp_path):
    """What is not there is said by its name, without the token, and the code is 1."""
    service = serve(Scenario((done("a", rows=2),)))
    rows = json.loads(service.export_bytes("a"))
    rows.insert(0, {"image": f"{service.url}/media/a/99.png?token=hidden-hidden-hidden"})
    rows.append(rows[1])
    (tmp_path / "a.json").write_text(json.dumps(rows))
    result = titan(*EXPORT, "a", "--media", "--if-exists", "skip", "--output", tmp_path, service=service)
    assert result.exit_code == 1
    assert "hidden-hidden" not in result.output
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("titan-state: error: a: media 99-")
    assert [name.partition("-")[0] for name in names(tmp_path / "a.media")] == ["1", "2"]
    assert result.stdout.splitlines()[0].endswith(", was there already")
    assert len(asked(service, "/media/")) == 3


def test_media_that_differ_in_their_token_alone_are_one():
    """Each medium is loaded once, by the first of its URLs; others have names of their own."""
    service = TaskService("https://api.example.com", "some-token")
    first, other = "/media/a/1.png?token=xxxx", "https://api.example.com/media/b/1.png?token=yyyy"
    again, alone = "/media/a/1.png?token=zzzz", "/media/a/2.png?token=xxxx"
    found = named([first, other, again, alone], service)
    assert list(found) == [first, other, alone]
    assert len(set(found.values())) == 3
    assert not re.search(r"/|xxxx|yyyy|zzzz", " ".join(found.values()))


def test_files_that_are_there_are_left_alone_unless_said_otherwise(serve, titan, tmp_path):
    """By default that is an error, skip sends nothing for them, and overwrite replaces them."""
    service = serve(Scenario((done("a"),)))
    path = tmp_path / "a.json"
    path.write_text("mine")
    result = titan(*EXPORT, "a", "--output", tmp_path, service=service)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path} is there already: --if-exists" in result.stderr
    result = titan(*EXPORT, "a", "--output", tmp_path, "--if-exists", "skip", service=service)
    assert (result.exit_code, result.stdout) == (0, f"{path}  4 bytes, was there already\n")
    assert path.read_text() == "mine"
    assert not service.requests
    result = titan(*EXPORT, "a", "--output", tmp_path, "--if-exists", "overwrite", service=service)
    assert result.exit_code == 0
    assert path.read_bytes() == service.export_bytes("a")


def test_a_file_in_the_way_of_datasets_or_media_counts_too(serve, titan, tmp_path):
    """Where everything is there already, skip sends nothing at all."""
    service = serve(Scenario((done("a", rows=1),)))
    command = (*EXPORT, "a", "--datasets", "--media", "--output", tmp_path)
    assert titan(*command, service=service).exit_code == 0
    count = len(service.requests)
    result = titan(*command, "--if-exists", "skip", service=service)
    assert result.exit_code == 0
    assert [line.rpartition(", ")[2] for line in result.stdout.splitlines()] == ["was there already"] * 3
    assert len(service.requests) == count


def test_an_unknown_id_exits_with_6(serve, titan, tmp_path):
    """What the service does not know has no file."""
    result = titan(*EXPORT, "nothing", "--output", tmp_path, service=serve())
    assert (result.exit_code, result.stdout, names(tmp_path)) == (6, "", [])
    assert result.stderr.count("\n") == 1
    assert "does not know execution nothing" in result.stderr


@pytest.mark.parametrize("status", ["failed", "running"])
def test_a_status_without_outputs_is_not_asked_for_any(serve, titan, tmp_path, status):
    """The code is 7, and no request for results, datasets or media was sent."""
    plan = done("a", status) if status == "failed" else Plan(id="a", steps=(Step("running", 0),))
    service = serve(Scenario((plan,)))
    result = titan(*EXPORT, "a", "--datasets", "--media", "--output", tmp_path, service=service)
    assert (result.exit_code, result.stdout) == (7, "")
    assert result.stderr == f"titan-state: error: a: it is {status}, which has no outputs; nothing was sent\n"
    assert asked(service, "/results", "/datasets", "/media") == []


def test_results_that_are_not_there_yet_are_waited_for(serve, titan, tmp_path):
    """--timeout says for how long; then the code is 124, with what to check first."""
    service = serve(Scenario((done("late", results_after_s=1.0), done("never", results_after_s=NEVER))))
    assert titan(*EXPORT, "late", "--timeout", "20", "--output", tmp_path, service=service).exit_code == 0
    result = titan(*EXPORT, "never", "--timeout", "0.2", "--output", tmp_path, service=service)
    assert (result.exit_code, result.stdout) == (124, "")
    assert "cannot be read yet" in result.stderr
    assert "result ingestion or result path timing" in result.stderr
    assert names(tmp_path) == ["late.json"]


def test_one_that_fails_does_not_stop_the_others(serve, titan, tmp_path):
    """Every execution has its line, on stdout or on stderr, and the worst outcome is the exit code."""
    plans = (done("a"), done("b"), done("broken", "failed"), done("never", results_after_s=NEVER))
    service = serve(Scenario(plans))
    command = (*EXPORT, "a", "broken", "never", "b", "a", "--timeout", "0", "--output", tmp_path)
    result = titan(*command, service=service)
    assert result.exit_code == 7
    assert len(result.stdout.splitlines()) == len(result.stderr.splitlines()) == 2
    assert names(tmp_path) == ["a.json", "b.json"]
    assert len(asked(service, "/a/results/export")) == 1


def test_json_lines_name_each_file(serve, titan, tmp_path):
    """A program reads of each file what it is, where, how large, and whether it is new."""
    (tmp_path / "a.json").write_text("[]")
    service = serve(Scenario((done("a"), done("b", rows=1))))
    command = (*EXPORT, "a", "b", "--datasets", "--media", "--if-exists", "skip", "--json", "--output", tmp_path)
    result = titan(*command, service=service)
    assert result.exit_code == 0, result.stderr
    shown = [json.loads(line) for line in result.stdout.splitlines()]
    of_b = [one for one in shown if one["execution_id"] == "b"]
    assert [one["kind"] for one in of_b] == ["export", "datasets", "media"]
    assert of_b[0] == {
        "execution_id": "b",
        "kind": "export",
        "path": str(tmp_path / "b.json"),
        "size": len(service.export_bytes("b")),
        "new": True,
    }
    assert next(one for one in shown if one["path"].endswith("a.json"))["new"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*EXPORT, "a", "--output", "file"), "is no directory"),
        ((*EXPORT, "a", "--output", "file/below"), "is no directory"),
        ((*EXPORT, "a", "--format", "xml"), "xml"),
        ((*EXPORT, ""), "a text that is not empty"),
    ],
    ids=["a file", "below a file", "format", "id"],
)
def test_wrong_usage_costs_no_request(serve, titan, tmp_path, monkeypatch, arguments, message):
    """What cannot work is said at once."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    service = serve(Scenario((done("a"),)))
    result = titan(*arguments, service=service)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not service.requests


def test_what_is_no_export_is_not_searched_for_media(serve, titan, tmp_path):
    """A file of another kind in the place of the export is one line."""
    (tmp_path / "a.json").write_text("no rows at all")
    service = serve(Scenario((done("a"),)))
    result = titan(*EXPORT, "a", "--media", "--if-exists", "skip", "--output", tmp_path, service=service)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("titan-state: error: a: ")


def test_debug_shows_where_an_export_failed(serve, titan, tmp_path):
    """With --debug there is a traceback, too."""
    result = titan(*EXPORT, "nothing", "--debug", "--output", tmp_path, service=serve())
    assert result.exit_code == 6
    assert "Traceback" in result.stderr


def test_ctrl_c_leaves_no_half_file(serve, start, tmp_path):
    """Nothing but whole files is left behind, and the code is the shell's."""
    slow = Faults(slow=When(probability=1.0, only="/results/export"), slow_s=60.0)
    service = serve(Scenario((done("a"),)), faults=slow)
    process = start(*EXPORT, "a", "--output", tmp_path, service=service)
    until(lambda: is_hanging(service))
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (130, "", "")
    assert names(tmp_path) == []


def test_a_reader_that_goes_away_ends_it_quietly(serve, start, tmp_path):
    """`titan-state export … | head -0` complains of nothing."""
    slow = Faults(slow=When(probability=1.0, only="/results/export"), slow_s=1.0)
    process = start(*EXPORT, "a", "--output", tmp_path, service=serve(Scenario((done("a"),)), faults=slow))
    process.stdout.close()
    process.stdout = None
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == ""


def test_the_choices_are_those_of_the_library():
    """What the help offers is what the library takes."""
    assert tuple(options.Format) == get_args(output_options.Format)
    assert tuple(options.IfExists) == get_args(files.IfExists)


def is_hanging(service):
    """Return whether a request is under way that is answered slowly."""
    return service._backend.dice._counts.get("slow", (None, 0))[1] > 0


def until(is_so):
    """Wait for something that another process does."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
