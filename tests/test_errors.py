"""Places in messages are true or absent; what cannot be read or written is told, and never a traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tilebound as tb
from tilebound.cli import run
from tilebound.errors import Problem, SpecError
from tilebound.spec.nodes import Node


def test_a_problem_prints_the_place_that_it_has() -> None:
    problem = Problem("a.yaml", 3, 7, "depth is -1; expected 1 or more")
    assert str(problem) == "a.yaml:3:7: error: depth is -1; expected 1 or more"
    assert str(replace(problem, column=0)).startswith("a.yaml:3: error: depth")
    assert str(replace(problem, line=0, column=0, severity="note")).startswith("a.yaml: note: depth")
    assert (Node(1, "a.yaml", 3).place, Node(1, "<dict>").place) == ("a.yaml:3", "<dict>")


def test_what_a_search_refuses_is_named() -> None:
    einsum = tb.load_workload({"shape": "gemm", "instance": {"M": 2 ** 20, "N": 2 ** 20, "K": 2 ** 20}})
    with pytest.raises(SpecError, match=r"^gemm: error: layer gemm: \d+ operations; a search expects"):
        tb.search("eyeriss", einsum)


def test_what_a_search_refuses_is_named_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    layer = "{name: big, type: matmul, M: 1048576, N: 1048576, K: 1048576}"
    path.write_text(f"workload:\n  layers:\n    - {layer}\n")
    with pytest.raises(SpecError, match=r"net.yaml:3:7: error: layer big: \d+ operations"):
        tb.search("eyeriss", str(path))


@pytest.mark.parametrize("source", [None, 3, b"eyeriss", ["eyeriss"]])
def test_what_is_no_source(source: object) -> None:
    for load in (tb.load_architecture, tb.load_workload):
        with pytest.raises(SpecError, match=r"^<\w+>: error: .* is no source; expected the name"):
            load(source)  # type: ignore[arg-type]


def test_unknown_layers_are_told_with_the_nearest() -> None:
    network = tb.load_workload("alexnet")
    for use in (lambda: network["conv_1"], lambda: network.count("conv_1")):
        with pytest.raises(KeyError, match=r"no layer 'conv_1' in alexnet; expected one of .*mean 'conv1'"):
            use()


@pytest.mark.parametrize(("option", "value"), [
    ("--gap", "nan"), ("--time-limit", "NaN"), ("--gap", "1.5"), ("--time-limit", "0"),
    ("--time-limit", "-inf")])
def test_numbers_out_of_range(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["map", "eyeriss", "alexnet", f"{option}={value}"]) == 2
    assert option in capsys.readouterr().err


@pytest.mark.parametrize("command", ["evaluate", "check", "report"])
def test_files_that_never_end_are_refused(command: str, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/zero"):
        assert run([command, path]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"{path}: error: cannot read the file: Not a regular file; expected "), err


def test_a_folder_is_named_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("machine").mkdir()
    assert run(["map", "machine", "alexnet"]) == 2
    assert "machine: error: cannot read the file: Is a directory" in capsys.readouterr().err


def test_standard_input_is_read(tmp_path: Path) -> None:
    spec = b"problem: {shape: gemm, instance: {M: 2, N: 2, K: 2}}\nmapping: []\narchitecture: eyeris\n"
    done = subprocess.run([sys.executable, "-m", "tilebound", "evaluate", "/dev/stdin"], input=spec,
                          capture_output=True, check=False)
    assert done.returncode == 2 and b"did you mean 'eyeriss'?" in done.stderr


@pytest.mark.parametrize(("text", "message"), [
    (b'{"schema": ', ":1:12: error: not JSON: Expecting value; expected a result document"),
    (b'{"a": NaN}', ": error: not JSON: NaN is not a JSON number; expected a result document"),
    (b'{"a": "\xff"}', ": error: byte 7 is not UTF-8; expected a result document"),
    (b"[" * 99999, ": error: not JSON: ")])
def test_documents_that_are_none(text: bytes, message: str, tmp_path: Path,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(text)
    assert run(["check", str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"{path}{message}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir(mode=0o500)
    command = [sys.executable, "-m", "tilebound", "map", "eyeriss", "resnet50", "-o", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (2, f"error: {folder}: Permission denied\n".encode())


def test_an_answer_that_cannot_be_written_is_shown_and_its_path_told(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    case = Path(__file__).parent / "cases" / "conv1_s1" / "input.yaml"
    assert run(["evaluate", str(case), "-o", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert "total" in out and f"error: {tmp_path / 'out' / 'result.json'}: No space left on device" in err
    assert os.listdir(tmp_path / "out") == []


def test_a_range_that_is_reversed() -> None:
    with pytest.raises(SpecError, match=r"reversed; expected the lower number first: PE\[0\.\.7\]"):
        tb.load_architecture({"subtree": [{"name": "s", "local": [{"name": "PE[7..0]", "class": "mac"}]}]})
