"""The benchmarks as a program: what they conclude, save, draw, survive. No time is asserted."""
import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest

from kernel_testing import PLAIN

import minigrad
import minigrad.nn
import minigrad.nn.functional
import minigrad.optim
from benchmarks import against, catalogue, peers, report, statistics, turns, worker
from benchmarks.__main__ import main
from benchmarks.machine import ROOT
from benchmarks.records import Measurement, Record

MINIGRAD = SimpleNamespace(torch=minigrad, nn=minigrad.nn, optim=minigrad.optim,
                           F=minigrad.nn.functional, images=minigrad.tensor,
                           ready=lambda model: model)


def noisy(rng, seconds, rounds=12, noise=0.02):
    return (seconds * rng.lognormal(0, noise, rounds)).tolist()


def record_of(rows, peer_names=("minigrad", "torch"), threads=2, **more):
    """A record with (program, peer) -> samples, on a machine that never was."""
    machine = {"cpu": "a CPU", "cores": 2, "features": [], "caches": {}, "system": "an OS",
               "versions": {"python": "3"}, "commit": "abc", "date": "today", "command": "none"}
    return Record(machine, {}, dict.fromkeys(peer_names, "1.0"), complete=True, measurements=[
        Measurement(program, peer, threads, samples) for (program, peer), samples in rows.items()],
        **more)


# -------------------------------------------------------------------------------- statistics

def test_a_planted_difference_of_a_tenth_is_found_although_the_machine_drifts():
    rng = np.random.default_rng(0)
    drift = np.exp(np.cumsum(rng.normal(0, 0.15, 12)))         # both are slower at the same time
    base = drift * rng.lognormal(0, 0.01, 12)
    ratio = statistics.paired((1.1 * drift * rng.lognormal(0, 0.01, 12)).tolist(), base.tolist())
    assert ratio.shown and 1.07 < ratio.median < 1.13
    assert not statistics.change((1.1 * drift).tolist(), base.tolist()).shown   # without pairs: no


def test_noise_shows_a_difference_no_more_often_than_its_confidence_allows():
    rng = np.random.default_rng(1)
    shown = sum(statistics.paired(noisy(rng, 1.0), noisy(rng, 1.0)).shown for _ in range(1000))
    # 12 rounds: 96.1 % between the third and the tenth; so about 39 of 1,000 are false alarms
    assert 15 <= shown <= 65


def test_the_confidence_is_that_of_the_binomial():
    assert statistics.coverage(6, 1) == pytest.approx(1 - 2 / 64)
    assert statistics.coverage(12, 3) == pytest.approx(1 - 2 * (1 + 12 + 66) / 4096)
    few = statistics.interval([1.2, 1.3, 1.25])
    assert (few.low, few.high) == (1.2, 1.3) and few.confidence == pytest.approx(0.75)
    assert not few.shown                                       # three rounds prove nothing
    with pytest.raises(ValueError, match="no samples"):
        statistics.interval([])


def test_the_spread_is_half_the_distance_of_the_quartiles():
    assert statistics.spread([1, 2, 3, 4, 5]) == pytest.approx(1 / 3)
    assert statistics.spread([7.0]) == 0


def test_the_error_of_a_mean_shrinks_with_the_rows():
    row = statistics.Ratio(0.5, 0.4, 0.7, 0.97)
    mean = statistics.geometric_mean([row] * 4)
    assert mean.median == pytest.approx(0.5) and mean.confidence == 0.97
    assert mean.low == pytest.approx(0.5 * (0.4 / 0.5) ** 0.5)         # half the way in logarithms
    assert mean.high == pytest.approx(0.5 * (0.7 / 0.5) ** 0.5)
    other = statistics.Ratio(2.0, 2.0, 2.0, 0.99)
    assert statistics.geometric_mean([row, other]).median == pytest.approx(1)
    with pytest.raises(ValueError, match="no ratios"):
        statistics.geometric_mean([])


# ---------------------------------------------------------------------------------- programs

def rows_to_run():
    """All; without the JIT, where the CNN takes seconds, the first row of each program."""
    firsts = {row.build: name for name, row in reversed(catalogue.PROGRAMS.items())}
    return [name for name in catalogue.PROGRAMS if not PLAIN or name in firsts.values()]


@pytest.mark.parametrize("name", rows_to_run())
def test_every_program_runs_in_minigrad(name):
    program = catalogue.PROGRAMS[name]
    sums = worker.fingerprint(program.build(MINIGRAD, **program.tiny)())
    assert sums and all(np.isfinite(sums)) and any(sums)


def test_a_training_step_of_a_program_changes_the_loss():
    run = catalogue.PROGRAMS["mlp_64"].build(MINIGRAD, batch=4)
    first = float(run())
    assert float([run() for _ in range(5)][-1]) < first


def test_flops_are_those_of_the_formula():
    cnn = catalogue.PROGRAMS["cnn_64"]
    assert cnn.flops(**cnn.sizes) == pytest.approx(1.6e9, rel=0.03)      # counted by hand elsewhere
    conv = catalogue.PROGRAMS["conv3x3_16x64x28_128_s2"]
    assert conv.flops(**conv.sizes) == 3 * 2 * 16 * 128 * 14 * 14 * 64 * 9
    rnn = catalogue.PROGRAMS["rnn_32x32"]
    assert rnn.flops(**rnn.sizes) == pytest.approx(0.15e9, rel=0.1)
    for program in catalogue.PROGRAMS.values():
        assert (program.flops is None) == (program.bytes is None)
        if program.flops:
            assert program.flops(**program.sizes) > 0 < program.bytes(**program.sizes)


def test_targets_groups_and_bases_are_consistent():
    for program in catalogue.PROGRAMS.values():
        assert program.group in catalogue.GROUPS
        assert program.base is None or program.base in catalogue.PROGRAMS
    assert all(catalogue.members(group) for group in catalogue.GROUPS)
    assert [p.name for p in catalogue.select(["rnn_32x512"])] == ["rnn_32x128", "rnn_32x512"]


def test_libraries_written_by_hand_know_only_programs_that_exist():
    builds = {p.build.__name__ for p in catalogue.PROGRAMS.values()}
    table = peers.load(peers.CONTROL, 1)
    assert {f"control_{p.control}" for p in catalogue.PROGRAMS.values()} <= {
        name for name in ("control_calls", "control_gemm", "control_stream") if table(name)}
    for path in sorted((ROOT / "benchmarks" / "by_hand").glob("in_*.py")):
        text = path.read_text(encoding="utf-8")
        functions = {line[4:].split("(")[0] for line in text.splitlines() if line[:4] == "def "}
        public = {f for f in functions if not f.startswith(("_", "control_"))} - {"setup"}
        assert public and public <= builds, path.name


# ------------------------------------------------------------------------- records and report

def full_record(slower=1.0, seed=0):
    rng = np.random.default_rng(seed)
    rows, speed = {}, rng.uniform(0.7, 1.4)                    # the machine's speed on that day
    for name, ours in (("linear_regression", 30e-6), ("cnn_64", 8e-3), ("cnn_256", 40e-3),
                       ("cnn_1024", 160e-3), ("rnn_32x32", 1e-3), ("rnn_32x128", 4e-3),
                       ("mlp_64", 1e-3), ("max_pool_2_s2", 1e-3), ("tanh", 2e-4)):
        here = ours * (slower if name == "cnn_64" else 1)
        rows[name, "minigrad"] = noisy(rng, speed * here, noise=0.01)
        rows[name, "torch"] = noisy(rng, speed * 2 * ours, noise=0.01)
        rows[name, "jax"] = noisy(rng, speed * 5 * ours, noise=0.01)
        rows[name, "control"] = noisy(rng, speed * 1e-3, noise=0.01)
    rows["memory_cnn_256", "minigrad"] = [1e8] * 6
    rows["memory_cnn_256", "torch"] = [2e8] * 6
    return record_of(rows, ("minigrad", "torch", "jax"), peaks={2: (3.8e11, 3e10)})


def test_a_record_survives_json(tmp_path):
    record = full_record()
    record.measurements[0].error = "failed in \"round\" 3"
    record.save(tmp_path / "run.json")
    assert Record.load(tmp_path / "run.json") == record
    (tmp_path / "other.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match="not a result"):
        Record.load(tmp_path / "other.json")
    (tmp_path / "old.json").write_text('{"format": 0}')
    with pytest.raises(ValueError, match="another format"):
        Record.load(tmp_path / "old.json")


def test_the_table_says_met_missed_and_no_difference():
    same = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98]
    record = record_of({
        ("cnn_64", "minigrad"): [0.5] * 6, ("cnn_64", "torch"): [1.0] * 6,
        ("cnn_64", "torch-channels-last"): [0.9] * 6,
        ("mlp_64", "minigrad"): same, ("mlp_64", "torch"): same[::-1],
        ("rnn_32x32", "minigrad"): [1.0] * 6,
        ("rnn_32x128", "minigrad"): [5.0] * 6}, ("minigrad", "torch", "torch-channels-last"))
    rows = {n: report.row_of(record, catalogue.PROGRAMS[n], 2) for n in record.names(2)}
    assert rows["cnn_64"].best == "torch-channels-last" and rows["cnn_64"].verdict == "met"
    assert rows["cnn_64"].ratio.median == pytest.approx(0.5 / 0.9)
    assert rows["mlp_64"].verdict == "missed; no difference shown"
    text = report.report(record)
    assert "1.25" in text and "missed (at most 1.10)" in text          # 5 is more than 4 times 1
    assert "1 of 3 targets met; missed: mlp_64, growth of rnn_32x128" in text
    assert "how busy the machine was, is not recorded" in text.lower()
    assert report.report(record, markdown=True).count("| cnn_64") == 1


def test_libraries_that_computed_something_else_are_named():
    record = full_record()
    record.get("mlp_64", "minigrad", 2).check = [2.30, 5.0]
    record.get("mlp_64", "torch", 2).check = [2.3001, 5.0]
    record.get("mlp_64", "jax", 2).check = [2.5, 5.0]
    assert "mlp_64: other results than minigrad: jax\n" in report.report(record)


def test_results_of_several_runs_are_put_together():
    first, second = full_record(), record_of({("cnn_64", "minigrad"): [1.0]})
    first.add(second)
    assert first.samples("cnn_64", "minigrad", 2) == [1.0]
    assert not first.samples("cnn_64", "torch", 2)             # from another moment: no pair
    second.machine = {**second.machine, "cpu": "another"}
    with pytest.raises(ValueError, match="different machines"):
        first.add(second)


# -------------------------------------------------------------------------------- regressions

@pytest.mark.parametrize("slower, status", [(1.0, 0), (1.05, 0), (1.3, 1), (0.7, 0)])
def test_against_finds_a_planted_regression_on_a_machine_of_another_speed(
        tmp_path, capsys, slower, status):
    full_record(seed=1).save(tmp_path / "old.json")
    full_record(slower, seed=2).save(tmp_path / "new.json")
    assert main(["--from", str(tmp_path / "new.json"), "--against",
                 str(tmp_path / "old.json")]) == status
    out = capsys.readouterr().out
    assert ("slower by more than 10 %: cnn_64" in out) == bool(status)
    assert out.count("  faster") == (slower == 0.7)


def test_a_regression_must_show_in_every_unit():
    old, new = full_record(seed=1), full_record(1.3, seed=2)
    new.get("cnn_64", "torch", 2).samples = [2.0 * s for s in new.samples("cnn_64", "torch", 2)]
    change = next(c for c in against.compare(new, old) if c.program == "cnn_64")
    assert set(change.units) == {"control", "torch"} and not change.regressed(0.1)
    new.peers["torch"] = "2.0"                                  # another version is no unit
    change = next(c for c in against.compare(new, old) if c.program == "cnn_64")
    assert set(change.units) == {"control"} and change.regressed(0.1)


def test_a_few_rounds_show_no_regression_but_bytes_do():
    old, new = full_record(seed=1), full_record(1.3, seed=2)
    for m in new.measurements:
        m.samples = m.samples[:3]
    new.get("memory_cnn_256", "minigrad", 2).samples = [1.2e8] * 3
    changes = against.compare(new, old)
    assert [c.program for c in changes if c.regressed(0.1)] == ["memory_cnn_256"]
    assert "too few rounds to say" in against.table(changes, 0.1)


# ----------------------------------------------------------------------------------- pictures

def test_pictures_are_drawn_from_a_saved_run(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    record = full_record()
    for m in list(record.measurements):
        record.measurements.append(Measurement(m.program, m.peer, 1, [2 * s for s in m.samples]))
    record.save(tmp_path / "run.json")
    assert main(["--from", str(tmp_path / "run.json"), "--output", str(tmp_path / "new")]) == 0
    names = {"headline", "bars", "roofline", "scaling", "memory"}
    assert {p.name for p in (tmp_path / "new").iterdir()} == {
        "table.md", *(f"{name}.svg" for name in names)}
    for name in names:
        root = ElementTree.parse(tmp_path / "new" / f"{name}.svg").getroot()
        assert root.tag.endswith("svg") and len(list(root.iter())) > 50
    assert "| cnn_64" in (tmp_path / "new" / "table.md").read_text(encoding="utf-8")


# -------------------------------------------------------------------- processes and their ends

@pytest.fixture
def hand_made(tmp_path):
    """A peer of one's own: one program that works, one that raises, one that ends the process."""
    path = tmp_path / "hand_made.py"
    path.write_text("""
import os
def boom(**sizes):
    raise RuntimeError("out of luck")
PROGRAMS = {"linear_regression": lambda **sizes: lambda: 1.0, "mlp": boom,
            "tiny_ops": lambda **sizes: lambda: os._exit(3)}
""")
    return str(path)


def test_missing_raising_and_crashing_peers_are_survived(tmp_path, hand_made, monkeypatch, capsys):
    monkeypatch.setitem(peers.PEERS, "absentee", peers.Peer("absentee", "no_such_package", ""))
    monkeypatch.setattr(turns.Runner, "measure_peaks", lambda self, threads: None)
    short = turns.Settings(rounds=2, turn=0.001, pause=0)
    monkeypatch.setattr("benchmarks.__main__._settings", lambda args: short)
    assert main(["linear_regression", "mlp_64", "tiny_ops", "--threads", "1", "--output",
                 str(tmp_path), "--pictures", "none", "--peers", f"absentee,{hand_made}"]) == 0
    out, err = capsys.readouterr()
    assert 'absentee is not installed: left out; pip install "no_such_package" brings it' in err
    assert "Not compared with: absentee" in out
    assert "! mlp_64: hand_made: RuntimeError: out of luck" in out
    assert "! tiny_ops: hand_made: crashed (exit code 3)" in out
    data = json.loads((tmp_path / "run.json").read_text())
    rows = {(m["program"], m["peer"]): m for m in data["measurements"]}
    assert len(rows["linear_regression", "hand_made"]["samples"]) == 2
    assert len(rows["tiny_ops", "control"]["samples"]) == 2    # the others went on
    assert data["complete"] and data["machine"]["versions"]["numpy"] == np.__version__


def test_an_interruption_keeps_what_was_measured(hand_made, monkeypatch, capsys, tmp_path):
    def interrupted(self, program, threads):
        row = Measurement(program.name, "minigrad", threads, [1e-3])
        self.record.measurements.append(row)
        raise KeyboardInterrupt
    monkeypatch.setattr(turns.Runner, "run", interrupted)
    monkeypatch.setattr(turns.Runner, "measure_peaks", lambda self, threads: None)
    assert main(["mlp", "cnn", "--output", str(tmp_path), "--pictures", "none", "--peers",
                 "minigrad"]) == 130
    assert "Interrupted" in capsys.readouterr().out
    record = Record.load(tmp_path / "run.json")
    assert not record.complete and len(record.measurements) == 1


def test_who_is_far_behind_ends_after_two_rounds(monkeypatch):
    """Once it has spent `seconds`, which are none here; the others have all six rounds."""
    takes = {"minigrad": 0.01, "torch": 0.09, "jax": 2.0, "numpy": 0.001}
    dropped = []

    def worker(self, peer, threads):
        def ask(do, **arguments):
            if do == "drop":
                dropped.append(peer.name)
            return {"build": 0.0, "first": 0.0, "check": [], "work": None,
                    "seconds": takes[peer.name]}
        return SimpleNamespace(ask=ask)
    monkeypatch.setattr(turns.Runner, "worker", worker)
    known = [peers.PEERS[name] for name in ("minigrad", "torch", "jax")]
    runner = turns.Runner(record_of({}), known, turns.Settings(seconds=0, pause=0),
                          tell=lambda text: None)
    rows = {row.peer: len(row.samples) for row in
            runner.run(catalogue.PROGRAMS["mlp_64"], threads=1)}
    assert rows == {"minigrad": 6, "torch": 6, "jax": 2, "control": 6}
    assert dropped[0] == "jax" and sorted(dropped) == sorted(takes)


def test_a_worker_pins_itself_and_answers_in_json(hand_made):
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", hand_made, "1", ""], cwd=ROOT, text=True,
        capture_output=True, timeout=60, input='{"do": "prepare", "build": "linear_regression", '
        '"sizes": {}}\n{"do": "turn", "seconds": 0.001}\n{"do": "prepare", "build": "cnn", '
        '"sizes": {}}\n')
    start, prepared, turn, absent = map(json.loads, process.stdout.splitlines())
    assert start["import"] > 0 and start["rss"] > 0
    assert prepared["check"] == [1.0] and turn["seconds"] > 0 and absent == {"absent": True}


# ------------------------------------------------------------------------------- command line

def test_list_shows_every_program_with_a_sentence(capsys):
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    for name, program in catalogue.PROGRAMS.items():
        assert any(name in line and program.about in line for line in out.splitlines()), name


@pytest.mark.parametrize("arguments, message", [
    (["cn_64"], r"unknown program or group 'cn_64'; did you mean cnn_64"),
    (["mlp", "--peers", "minigrad,pytorch"], r"unknown peer 'pytorch'; known: minigrad, torch"),
    (["mlp", "--threads", "two"], r"want numbers such as 1,2; got 'two'"),
    (["mlp", "--against", "no_such_file.json"], r"no_such_file.json"),
])
def test_a_wrong_argument_is_explained(capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err
