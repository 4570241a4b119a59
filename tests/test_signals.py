"""Ctrl-C and SIGTERM, whenever they come."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tilebound
from tilebound import loading
from tilebound.cli import run
from tilebound.report.check import check_document
from tilebound.report.document import load_document
from tilebound.report.output import OUTPUTS
from tilebound.report.text import render_text
from tilebound.signals import Terminated, heeded

WAIT = 60
#: The first layer takes no time, the others much.
LAYERS = """workload: {name: net, layers: [
  {name: small, type: matmul, M: 2, N: 2, K: 2},
  {name: large, type: conv, C: 360, K: 720, P: 120, Q: 120, R: 3, S: 3},
  {name: larger, type: conv, C: 720, K: 360, P: 120, Q: 120, R: 3, S: 3}]}
"""
HOME = str(Path(tilebound.__file__).parent)


def started(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tilebound", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, start_new_session=True)


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_search_that_is_ended_leaves_the_best_so_far(number: signal.Signals, jobs: str,
                                                       tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(LAYERS)
    process = started("map", "eyeriss", str(tmp_path / "net.yaml"), "--jobs", jobs, "-o", str(tmp_path))
    document, end = tmp_path / "result.json", time.monotonic() + WAIT
    while not document.exists() and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, number)          # as a terminal or `timeout` does, to all processes
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 128 + number
    assert b"the best found so far" in err and b"Traceback" not in err
    found = json.loads(document.read_text())
    assert found["interrupted"] and found["layers"]
    assert (tmp_path / "report.txt").exists()


@pytest.mark.parametrize(("jobs", "delay"), [("1", 0.0), ("1", 1.1), ("2", 0.4)])
def test_a_search_that_is_killed_leaves_a_sound_document(jobs: str, delay: float, tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text(LAYERS)
    process = started("map", "eyeriss", str(tmp_path / "net.yaml"), "--jobs", jobs, "-o", str(tmp_path))
    document, end = tmp_path / "result.json", time.monotonic() + WAIT
    while not document.exists() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(delay)
    process.kill()
    process.communicate(timeout=WAIT)
    found = load_document(document)
    assert found["interrupted"] and found["layers"] and check_document(found) == []


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.2, 0.3, 0.6])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_signal_shows_a_traceback(number: signal.Signals, delay: float) -> None:
    process = started("map", "eyeriss", "alexnet", "--time-limit", "20")
    while "tilebound" not in Path(f"/proc/{process.pid}/cmdline").read_text():      # not python yet
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=WAIT)
    ours = [line for line in err.decode().splitlines() if HOME in line and "in <module>" not in line]
    assert ours == []           # python itself may show one while it starts
    assert process.returncode in (128 + number, -number) or b"<frozen " in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_files_are_read_leaves_no_file(number: signal.Signals, tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    read = loading.load_specs

    def slow(*arguments: Any, **options: Any) -> Any:
        os.kill(os.getpid(), number)
        return read(*arguments, **options)

    monkeypatch.setattr(loading, "load_specs", slow)
    assert run(["map", "eyeriss", "alexnet", "-o", str(tmp_path / "out")]) == 128 + number
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("ed before there was an answer: no file is written\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_answer_that_is_there_is_written(number: signal.Signals, tmp_path: Path,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(document: Any) -> str:
        os.kill(os.getpid(), number)
        return render_text(document)

    (tmp_path / "layer.yaml").write_text("workload: {layers: [{name: g, type: matmul, M: 2, N: 2, K: 2}]}")
    monkeypatch.setitem(OUTPUTS, "report.txt", interrupted)
    assert run(["map", "eyeriss", str(tmp_path / "layer.yaml"), "-o", str(tmp_path / "out")]) == 0
    assert {x.name for x in (tmp_path / "out").iterdir()} == {*OUTPUTS}
    assert not load_document(tmp_path / "out" / "result.json")["interrupted"]


def test_handlers_are_as_before() -> None:
    before = [signal.getsignal(x) for x in (signal.SIGINT, signal.SIGTERM)]
    with heeded() as came, pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert came == [signal.SIGTERM]
    with heeded() as came, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    assert came == [signal.SIGINT]
    assert [signal.getsignal(x) for x in (signal.SIGINT, signal.SIGTERM)] == before


def test_sigterm_does_what_ctrl_c_does_at_the_time() -> None:
    seen = []
    with heeded() as came:
        signal.signal(signal.SIGINT, lambda number, _: seen.append(number))     # as a search does
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
    assert seen == came == [signal.SIGTERM]
