"""The benchmarks as a program: what they conclude, save, draw, survive. No time is asserted."""
import json
import os
import shutil
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
from benchmarks import against, catalogue, peers, quiet, report, statistics, turns, worker
from benchmarks.__main__ import main
from benchmarks.machine import ROOT
from benchmarks.records import Measurement, Record

MINIGRAD = SimpleNamespace(torch=minigrad, nn=minigrad.nn, optim=minigrad.optim,
                           F=minigrad.nn.functional, images=minigrad.tensor,
                           ready=lambda model: model)


QUIET = {"foreign": 0.0, "spread": 0.01, "stolen": 0.02, "load": [0.1, 0.2, 0.3]}
BUSY = {"foreign": 0.37, "spread": 0.4, "stolen": 0.3, "load": [3.1, 2.0, 1.0]}


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    """The machine that runs the tests may be busy; nothing here depends on it."""
    monkeypatch.setattr(quiet, "check", lambda cores: dict(QUIET))
    monkeypatch.setattr(quiet.Watch, "foreign", lambda self: 0.0)


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
    found = statistics.quotient([2.0] * 5 + [3.0], [1.0] * 6)
    assert (found.median, found.low) == (2.0, 2.0) and found.high == pytest.approx(3.0)
    both = statistics.quotient([2.0] * 5 + [4.0], [1.0] * 5 + [0.5])
    assert both.high == pytest.approx(2 * 2 ** 2 ** 0.5)               # not 2 * 2 * 2
    with pytest.raises(ValueError, match="no ratios"):
        statistics.geometric_mean([])


@pytest.mark.parametrize("low, high, confidence, disturbance, verdict", [
    (0.20, 0.30, 0.97, "", "met"),                             # its upper end is at the target
    (0.20, 0.31, 0.97, "", "not decided: target in the interval"),
    (0.31, 0.40, 0.97, "", "missed"),
    (0.0001, 0.17, 0.97, "", "not decided: rounds differ too much"),     # printed as [0.00 0.17]
    (0.09, 0.17, 0.97, "", "met"),
    (0.08, 0.17, 0.97, "", "not decided: rounds differ too much"),       # over a factor of 2
    (0.20, 0.25, 0.75, "", "not decided: too few rounds"),
    (0.20, 0.25, 0.97, "busy", "not decided: busy"),
    (0.40, 0.50, 0.97, "busy", "not decided: busy"),
])
def test_a_target_is_met_only_if_the_whole_interval_says_so(low, high, confidence, disturbance,
                                                            verdict):
    ratio = statistics.Ratio((low * high) ** 0.5, low, high, confidence)
    assert ratio.verdict(0.30, disturbance) == verdict


@pytest.mark.parametrize("bad", [0.0, -1e-6, float("nan"), float("inf")])
def test_what_no_clock_measured_is_refused(tmp_path, bad):
    with pytest.raises(ValueError, match="want positive numbers"):
        statistics.paired([1.0, bad], [1.0, 1.0])
    with pytest.raises(ValueError, match="want positive numbers"):
        statistics.paired([1.0, 1.0], [bad, 1.0])
    record_of({("mlp_64", "torch"): [1.0, bad]}).save(tmp_path / "run.json")
    with pytest.raises(ValueError, match=r"run.json: mlp_64 under torch has the sample"):
        Record.load(tmp_path / "run.json")
    with pytest.raises(turns.WorkerError, match="too little to be seen"):
        turns._positive(bad if bad < 1 else 0.0, "seconds")


# ------------------------------------------------------------------------- is anybody else there?

def busy_record():
    record = full_record()
    record.quiet = {"before": dict(QUIET), "after": dict(BUSY)}
    for m in record.measurements:
        m.foreign = 0.4 if m.program == "cnn_64" else 0.01
    record.get("mlp_64", "control", 2).samples = [1.0, 1.9, 1.0, 2.0, 0.9, 1.6]
    return record


def test_a_disturbed_program_decides_nothing_and_is_named():
    record = busy_record()
    rows = {n: report.row_of(record, catalogue.PROGRAMS[n], 2) for n in record.names(2)}
    assert rows["cnn_64"].verdict == "not decided: busy machine, 40% taken by others"
    assert rows["mlp_64"].verdict.startswith("not decided: unsteady machine, control spreads by")
    assert rows["tanh"].verdict == rows["rnn_32x32"].verdict.replace("missed", "met") == "met"
    text = report.report(record)
    assert text.startswith("DISTURBED: this machine was busy: after the measuring other programs "
                           "took 37% of the cores, a fixed loop did not get 30%")
    assert "2 of 10 programs were disturbed (cnn_64, mlp_64)" in text
    assert "not decided: cnn_64, mlp_64" in report.summary(record)
    assert "DISTURBED" not in report.report(full_record())


def test_a_busy_machine_changes_no_memory():
    record = full_record()
    record.get("memory_cnn_256", "minigrad", 2).foreign = 0.9
    row = report.row_of(record, catalogue.PROGRAMS["memory_cnn_256"], 2)
    assert row.verdict == "met" and not row.disturbance


def test_each_witness_alone_makes_a_machine_busy():
    assert quiet.reasons(QUIET) == [] and quiet.reasons({"foreign": None}) == []
    for key, word in (("foreign", "other programs"), ("spread", "spread"), ("stolen", "not get")):
        words = quiet.reasons({**QUIET, key: BUSY[key]})
        assert len(words) == 2 and word in words[0] and words[1] == "load average 0.1"


def test_our_own_work_is_not_taken_for_that_of_others(monkeypatch):
    """2 cores for 10 seconds: 12 s of work, of which a process of ours and this one used 11."""
    monkeypatch.undo()
    now = {"wall": 100.0, "busy": 50.0, "own": 3.0}
    monkeypatch.setattr(quiet.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(quiet, "busy_seconds", lambda cores: now["busy"])
    monkeypatch.setattr(quiet, "own_seconds", lambda processes: now["own"])
    watch = quiet.Watch([0, 1], list)
    assert watch.foreign() is None                             # no time has passed
    now.update(wall=110.0, busy=62.0, own=14.0)
    assert watch.foreign() == pytest.approx(0.05)
    now["own"] = 16.0                                          # counted in other ticks
    assert watch.foreign() == 0
    now["busy"] = None                                         # a system that does not say
    assert watch.foreign() is None


def test_the_systems_count_is_read(monkeypatch):
    text = ("cpu  900 0 0 0 0 0 0 0 0 0\ncpu0 100 20 30 999 5 6 7 37 0 0\n"
            "cpu1 100 0 0 999 0 0 0 0 0 0\nintr 1 2\n")
    monkeypatch.setattr(quiet.Path, "read_text", lambda self, encoding: text)
    tick = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
    if hasattr(os, "sysconf"):
        assert quiet.busy_seconds([0]) == 200 / tick           # stolen time too, waiting not
        assert quiet.busy_seconds([0, 1]) == 300 / tick
    assert quiet.busy_seconds([0, 5]) is None


def test_calibration_measures_a_spread_and_a_share():
    found = quiet.calibrate(2, repeats=4)
    assert found["spread"] >= 0 and 0 <= found["stolen"] < 1


def test_a_busy_machine_is_announced_before_and_after(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(quiet, "check", lambda cores: dict(BUSY))
    monkeypatch.setattr(turns.Runner, "measure_peaks", lambda self, threads: None)
    monkeypatch.setattr(turns.Runner, "run", lambda self, program, threads: (
        self.record.measurements.append(Measurement(program.name, "minigrad", threads, [1e-3]))))
    arguments = ["mlp", "--peers", "minigrad", "--output", str(tmp_path), "--pictures", "none"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err.count("WARNING: this machine is busy (other programs took 37% of the cores") == 2
    assert err.index("WARNING") < err.index("mlp_64: 1.00 ms") < err.rindex("WARNING")
    assert "DISTURBED" in out and "DISTURBED" in (tmp_path / "table.md").read_text()
    assert Record.load(tmp_path / "run.json").quiet == {"before": BUSY, "after": BUSY}


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
        assert {"linear_regression", "logistic_regression", "rnn", "mlp"} <= public or \
            path.stem == "in_numpy", path.name
    cnns = [path.stem for path in (ROOT / "benchmarks" / "by_hand").glob("in_*.py")
            if "def cnn_inference(" in path.read_text(encoding="utf-8")]
    assert sorted(cnns) == ["in_jax", "in_mlx", "in_tensorflow"]


def test_a_module_by_hand_is_told_the_threads_and_the_variant(tmp_path):
    path = tmp_path / "told.py"
    path.write_text("PROGRAMS = {}\ndef setup(threads, variant):\n"
                    "    PROGRAMS['mlp'] = lambda: (threads, variant)\n")
    assert peers.load(peers.find_peer(str(path)), 3)("mlp")() == (3, "")
    xla = peers.PEERS["tensorflow-xla"]
    assert (xla.by_hand, xla.variant) == ("in_tensorflow", "xla")
    assert peers.PEERS["mlx"].install == 'pip install "mlx[cpu]"'
    assert peers.Peer("x", "no.such.package", "").version() is None


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


def test_the_kept_table_is_that_of_the_kept_result():
    folder = ROOT / "benchmarks" / "results"
    record = Record.load(folder / "run.json")
    assert (folder / "table.md").read_text(encoding="utf-8") == report.report(record, markdown=True)
    met, of = report.summary(record).splitlines()[-1].split(" targets met")[0].split()[2::2]
    assert f"of {of}, {met} are met" in (folder / "README.md").read_text(encoding="utf-8")


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


# --------------------------------------------------------------------- another tree, in this run

def two_trees(factors, other="minigrad@abc", rounds=8):
    rng = np.random.default_rng(4)
    rows = {}
    for name, factor in factors.items():
        drift = np.exp(np.cumsum(rng.normal(0, 0.1, rounds)))
        base = 1e6 if name.startswith("memory") else 1e-3
        rows[name, other] = (base * drift).tolist()
        rows[name, "minigrad"] = (base * factor * drift * rng.lognormal(0, 0.01, rounds)).tolist()
    return record_of(rows, ("minigrad", other))


def test_two_trees_are_compared_round_by_round(capsys):
    record = two_trees({"tiny_ops": 1.3, "cnn_64": 1.0, "mlp_64": 0.7, "memory_cnn_256": 1.3,
                        "tanh": 1.0})
    record.get("tanh", "minigrad", 2).foreign = 0.5
    found = {p.program: p.verdict(0.1) for p in against.pairs(record, "minigrad@abc")}
    assert found == {"tiny_ops": "SLOWER", "cnn_64": "no slower", "mlp_64": "faster",
                     "memory_cnn_256": "SLOWER", "tanh": "no slower"}
    assert against.conclude(record, None, 0.1)
    out = capsys.readouterr().out
    assert "2 slower (tiny_ops, memory_cnn_256); 1 faster; 2 no slower; 0 not decided" in out
    assert "no slower (busy machine, 50% taken by others)" in out      # both trees alike
    assert "1 of them were made on a busy machine" in out
    assert out.endswith("Verdict: something got slower.\n")


def test_the_verdict_on_two_trees_is_no_better_than_its_evidence(capsys):
    assert not against.conclude(two_trees({"tiny_ops": 1.0, "mlp_64": 0.9}), None, 0.1)
    assert "Verdict: nothing got slower." in capsys.readouterr().out
    few = two_trees({"tiny_ops": 1.3}, rounds=4)
    few.measurements.append(Measurement("mlp_64", "minigrad", 2, [1.0]))
    few.measurements.append(Measurement("mlp_64", "minigrad@abc", 2, error="crashed"))
    assert not against.conclude(few, None, 0.1)
    out = capsys.readouterr().out
    assert "not decided: too few rounds" in out and "not decided: not measured in both" in out
    assert "nothing is shown to be slower, but not everything is decided" in out


def test_a_revision_becomes_a_folder(tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    (repository / "minigrad").mkdir(parents=True)
    (repository / "minigrad" / "__init__.py").write_text("then = True\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repository)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "then"]):
        subprocess.run([*git, *words], check=True)
    (repository / "minigrad" / "__init__.py").write_text("now = True\n")
    monkeypatch.setattr(against, "ROOT", repository)
    old, peer = against.find("HEAD", tmp_path / "scratch", False)
    assert old is None and peer.name.startswith("minigrad@") and peer.compared
    assert "then" in (tmp_path / "scratch" / peer.name[9:] / "minigrad" / "__init__.py").read_text()
    assert peers.find_peer(peer.spec).tree == peer.tree
    with pytest.raises(ValueError, match="want a run.json, the folder of another checkout, or a"):
        against.find("no-such-revision", tmp_path, False)


def test_a_folder_takes_part_in_the_run(tmp_path, monkeypatch, capsys):
    """Another checkout's minigrad in a process of its own, under this tree's programs."""
    shutil.copytree(ROOT / "minigrad", tmp_path / "old" / "minigrad",
                    ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "old" / "minigrad" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write("print('this is the old one')\n")
    monkeypatch.setattr(turns.Runner, "measure_peaks", lambda self, threads: None)
    monkeypatch.setattr("benchmarks.__main__._settings", lambda args, peers: turns.Settings(
        rounds=2, restart=1, turn=0.001, pause=0))
    started = []
    start = turns.Runner._start
    monkeypatch.setattr(turns.Runner, "_start", lambda self, peer, *more: (
        started.append(peer.name), start(self, peer, *more))[1])
    assert main(["linear_regression", "--threads", "1", "--against", str(tmp_path / "old")]) == 0
    out = capsys.readouterr().out
    assert "Against minigrad@old, 1 comparisons" in out and "1 not decided" in out
    assert started.count("minigrad@old") == started.count("minigrad") == 2     # anew each round
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", f"minigrad@{tmp_path / 'old'}", "1", ""],
        cwd=ROOT, text=True, capture_output=True, timeout=60, input="")
    assert "this is the old one" in process.stderr and '"import"' in process.stdout


# ----------------------------------------------------------------------------------- pictures

def drawn(record, monkeypatch, name):
    """The figure that a picture's function would save."""
    pictures = pytest.importorskip("benchmarks.pictures")
    figures = []
    monkeypatch.setattr(pictures, "_save", lambda figure, *rest: figures.append(figure) or [])
    getattr(pictures, name)(record, None, ["svg"])
    return figures


def crooked_record():
    """Rounds of two speeds: the quotient of medians is 0.1, the median of the quotients 0.5."""
    slow, fast = 1.0, 0.1
    ours = [0.5 * fast] * 4 + [0.5 * slow] * 3
    theirs = [fast] * 3 + [slow] * 4
    jax = [3 * t for t in theirs]
    return record_of({("cnn_64", "minigrad"): ours, ("cnn_64", "torch"): theirs,
                      ("cnn_64", "jax"): jax}, ("minigrad", "torch", "jax"))


def test_picture_and_table_say_the_same_where_medians_would_say_another_thing(monkeypatch):
    record = crooked_record()
    ours, torch = (record.get("cnn_64", p, 2).median for p in ("minigrad", "torch"))
    assert ours / torch == pytest.approx(0.05)                 # what a quotient of medians says
    ratio = report.row_of(record, catalogue.PROGRAMS["cnn_64"], 2).ratio
    assert ratio.median == pytest.approx(0.5)
    text = report.report(record)
    assert "0.50 [0.05 0.50]" in text and "3.00 [3.00 3.00]" in text

    for picture in ("headline", "bars"):
        (figure,) = drawn(record, monkeypatch, picture)
        dots = {round(float(line.get_xdata()[0]), 6) for axes in figure.axes for line in axes.lines
                if line.get_marker() == "o" and len(line.get_xdata()) == 1}
        assert 0.5 in dots and (picture == "bars" or 3.0 in dots)
        spans = {tuple(map(float, line.get_xdata())) for axes in figure.axes
                 for line in axes.lines if len(line.get_xdata()) == 2}
        assert (ratio.low, ratio.high) in spans                # the interval is drawn
        words = {text.get_text() for axes in figure.axes for text in axes.texts}
        assert words & {"2.0× faster?", "0.50"}                # its interval is too wide to be sure
    (figure,) = drawn(record, monkeypatch, "peers")
    words = {text.get_text() for text in figure.axes[0].texts}
    assert {"0.50?", "0.05 to 0.50", "3.00", "3.00 to 3.00"} <= words


def many_peers(count):
    """The full record with so many libraries in all."""
    record, rng = full_record(), np.random.default_rng(3)
    for i, peer in enumerate(list(peers.PEERS)[:count]):
        if peer not in record.peers:
            record.peers[peer] = "1"
            record.measurements += [
                Measurement(m.program, peer, 2, [s * (0.2 + i) * rng.uniform(0.5, 2) for s in
                                                 m.samples])
                for m in list(record.measurements) if m.peer == "minigrad"]
    kept = list(peers.PEERS)[:count]
    record.peers = {p: v for p, v in record.peers.items() if p in kept}
    record.measurements = [m for m in record.measurements if m.peer in (*kept, "control")]
    for m in list(record.measurements):
        record.measurements.append(Measurement(m.program, m.peer, 1, [2 * s for s in m.samples]))
    return record


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_no_words_of_a_picture_lie_upon_others(count, monkeypatch):
    backend = pytest.importorskip("matplotlib.backends.backend_agg")
    pictures = pytest.importorskip("benchmarks.pictures")
    record = many_peers(count)
    assert len(record.peers) == count
    seen = []
    for name in ("headline", "bars", "peers", "roofline", "scaling", "memory"):
        for figure in drawn(record, monkeypatch, name):
            seen.append(name)
            canvas = backend.FigureCanvasAgg(figure)
            with pictures.matplotlib.rc_context(pictures._STYLE):
                canvas.draw()
            boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer()).padded(-1))
                     for t in figure.findobj(pictures.matplotlib.text.Text)
                     if t.get_visible() and t.get_text().strip() and _is_shown(t)]
            for i, (words, box) in enumerate(boxes):
                for others, other in boxes[i + 1:]:
                    assert not box.overlaps(other), (name, words, others)
    assert seen == ["roofline", "scaling", "memory"] if count == 1 else len(seen) >= 5


def _is_shown(text):
    """Not a tick's label outside the limits, nor one of axes that are switched off."""
    axes = text.axes
    if axes is None:
        return True
    if not axes.get_visible():
        return False
    for axis in (axes.xaxis, axes.yaxis):
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        for tick in ticks:
            if text in (tick.label1, tick.label2):
                low, high = sorted(axis.get_view_interval())
                return bool(axes.axison and low <= tick.get_loc() <= high and tick in
                            axis._update_ticks())
    return True


def test_a_ratio_in_words():
    pictures = pytest.importorskip("benchmarks.pictures")
    for low, median, high, words in (
            (0.2, 0.25, 0.3, "4.0× faster"), (1.4, 1.5, 1.6, "1.5× slower"),
            (0.95, 0.96, 0.97, "4 % faster"), (1.0, 1.1, 1.2, "no difference shown"),
            (200, 300, 350, "300× slower")):
        assert pictures.in_plain_words(statistics.Ratio(median, low, high, 0.97)).startswith(words)


def test_a_picture_of_a_busy_machine_says_so(monkeypatch):
    pytest.importorskip("matplotlib")
    record = busy_record()
    for name in ("headline", "bars", "peers", "roofline", "scaling"):
        (figure,) = drawn(record, monkeypatch, name)
        words = [t.get_text().replace("\n", " ") for t in figure.findobj(
            lambda artist: hasattr(artist, "get_text"))]
        assert any("Measured on a busy machine (" in w for w in words), name
        (figure,) = drawn(full_record(), monkeypatch, name)
        assert not any("busy" in t.get_text() for t in figure.findobj(
            lambda artist: hasattr(artist, "get_text"))), name


def test_pictures_are_drawn_from_a_saved_run(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    record = full_record()
    for m in list(record.measurements):
        record.measurements.append(Measurement(m.program, m.peer, 1, [2 * s for s in m.samples]))
    record.save(tmp_path / "run.json")
    assert main(["--from", str(tmp_path / "run.json"), "--output", str(tmp_path / "new")]) == 0
    names = {"headline", "bars", "peers", "roofline", "scaling", "memory"}
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
    monkeypatch.setattr("benchmarks.__main__._settings", lambda args, peers: short)
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


def test_an_interruption_at_once_leaves_an_empty_result(monkeypatch, capsys, tmp_path):
    def interrupted(self, threads):
        raise KeyboardInterrupt
    monkeypatch.setattr(turns.Runner, "measure_peaks", interrupted)
    assert main(["mlp", "--peers", "minigrad", "--output", str(tmp_path)]) == 130
    assert "Interrupted" in capsys.readouterr().out
    assert Record.load(tmp_path / "run.json").measurements == []


def fake_workers(monkeypatch, answers):
    """Workers that answer to "turn" as told: a number of seconds, or an error."""
    def worker(self, peer, threads):
        def ask(do, **arguments):
            answer = answers[peer.name]
            if isinstance(answer, Exception) and do == "turn":
                raise answer
            return {"build": 0.0, "first": 0.0, "check": [], "work": None, "seconds": answer}
        return SimpleNamespace(ask=ask)
    monkeypatch.setattr(turns.Runner, "worker", worker)
    known = [peers.PEERS[name] for name in answers if name in peers.PEERS]
    return turns.Runner(record_of({}), known, turns.Settings(rounds=2, pause=0),
                        tell=lambda text: None)


def test_who_hangs_is_not_asked_again_and_who_fails_is(monkeypatch):
    runner = fake_workers(monkeypatch, {
        "minigrad": 1.0, "torch": turns.WorkerError("crashed"), "jax": turns.Hangs("no answer"),
        "mygrad": 0.0, "numpy": 1.0})
    errors = {}
    for name in ("mlp_64", "tanh"):
        rows = runner.run(catalogue.PROGRAMS[name], threads=1)
        errors[name] = {row.peer: row.error for row in rows}
    assert errors["mlp_64"]["jax"] == "no answer"
    assert errors["mlp_64"]["mygrad"] == "measured 0.0 seconds: too little to be seen"
    assert errors["tanh"]["jax"] == "left out: it hung at mlp_64"
    assert errors["tanh"]["torch"] == "crashed" and errors["tanh"]["minigrad"] == ""
    assert [len(row.samples) for row in rows if row.peer in ("minigrad", "control")] == [2, 2]


def test_who_does_not_start_is_left_out_with_the_reason(tmp_path, monkeypatch):
    path = tmp_path / "broken.py"
    path.write_text("raise OSError('no libmlx.so')\n")
    broken = peers.find_peer(str(path))
    runner = turns.Runner(record_of({}), [broken], turns.Settings(rounds=1, pause=0, turn=0.001),
                          tell=lambda text: None)
    try:
        first = runner.run(catalogue.PROGRAMS["import"], 1)[0]
        second = runner.run(catalogue.PROGRAMS["mlp_64"], 1)[0]
    finally:
        runner.close()
    assert first.error == "does not start: OSError: no libmlx.so"
    assert second.error == "left out: it does not start: OSError: no libmlx.so"


def test_who_is_far_behind_is_not_asked_for_larger_sizes(monkeypatch):
    runner = fake_workers(monkeypatch, {"minigrad": 1.0, "torch": 20.0, "jax": 2.0, "mlx": 20.0,
                                        "numpy": 1.0})
    runner.run(catalogue.PROGRAMS["cnn_256"], threads=1)
    rows = {row.peer: row for row in runner.run(catalogue.PROGRAMS["cnn_1024"], threads=1)}
    assert rows["mlx"].error == "left out: 20 times as slow as minigrad at cnn_256"
    assert rows["torch"].samples and rows["jax"].samples       # the comparison needs torch
    assert "left out" in report.table(runner.record, 1)


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
    ([""], r"unknown program or group ''"),
    (["mlp", "--peers", "minigrad,pytorch"], r"unknown peer 'pytorch'; known: minigrad, torch"),
    (["mlp", "--peers", ""], r"--peers: want libraries, with commas between them; got ''"),
    (["mlp", "--peers", "torch,,jax"], r"--peers: want libraries, with commas between"),
    (["mlp", "--peers", "torch,torch"], r"--peers: torch is named twice in 'torch,torch'"),
    (["mlp", "--peers", "torch", "--peers", "jax"], r"--peers is given twice; want one, with com"),
    (["mlp", "--peers", "minigrad@/no/such"], r"no minigrad in /no/such: want the folder of a ch"),
    (["mlp", "--peers", "mine.py"], r"no file mine.py for a peer of your own"),
    (["mlp", "--threads", "two"], r"want numbers such as 1,2; got 'two'"),
    (["mlp", "--threads", "0"], r"--threads: want 1 to "),
    (["mlp", "--threads", "999"], r"threads, as many as this process may use cores; got 999"),
    (["mlp", "--threads", "1,1"], r"--threads: 1 is named twice in '1,1'"),
    (["mlp", "--threads", "1", "--threads", "1"], r"--threads is given twice"),
    (["mlp", "--rounds", "0"], r"--rounds: want a whole number of rounds, 1 or more; got '0'"),
    (["mlp", "--rounds", "2.5"], r"--rounds: want a whole number of rounds, 1 or more; got '2.5'"),
    (["mlp", "--seconds", "-1"], r"--seconds: want a positive number of seconds, 0.01 or more; go"),
    (["mlp", "--seconds", "nan"], r"--seconds: want a positive number of seconds"),
    (["mlp", "--seconds", "inf"], r"--seconds: want a positive number of seconds"),
    (["mlp", "--seconds", "soon"], r"--seconds: want a positive number of seconds"),
    (["mlp", "--pictures", "gif"], r"--pictures: want svg, png, svg,png or none; got 'gif'"),
    (["mlp", "--pictures", "svg,none"], r"--pictures: want svg, png, svg,png or none"),
    (["mlp", "--pictures", "svg"], r"--pictures says what --output DIR writes; want --output"),
    (["mlp", "--tolerance", "0.2"], r"--tolerance is what --against forgives; want --against"),
    (["--against", "x", "--tolerance", "nan"], r"--tolerance: want a number such as 0.10 for 10"),
    (["mlp", "--against", "no_such_file.json"], r"--against no_such_file.json: want a run.json, "),
    (["mlp", "--against", "."], r"--against compares this tree's minigrad: want it among --peers"),
    (["--rounds", "3", "--seconds", "2"], r"--rounds counts, --seconds looks at the clock: want"),
    (["--from", "a.json", "--rounds", "3"], r"--from reads what was measured; --rounds says how"),
    (["--from", "no_such.json"], r"no_such.json"),
    (["--quic"], r"unrecognized arguments: --quic"),
])
def test_a_wrong_argument_is_explained(capsys, monkeypatch, arguments, message):
    monkeypatch.setattr("benchmarks.__main__.measure", lambda *more: pytest.fail("it measured"))
    if arguments[-1] == ".":
        arguments = [*arguments[:-1], str(ROOT), "--peers", "torch"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_refused_before_the_measuring(
        tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.__main__.measure", lambda *more: pytest.fail("it measured"))
    (tmp_path / "file").write_text("")
    for place in ("file", "file/below"):
        with pytest.raises(SystemExit):
            main(["mlp", "--output", str(tmp_path / place)])
        assert "want a folder, got a file" in capsys.readouterr().err
    def denied(dir):
        raise PermissionError(13, "Permission denied")
    monkeypatch.setattr("benchmarks.__main__.tempfile.TemporaryFile", denied)
    with pytest.raises(SystemExit):
        main(["mlp", "--output", str(tmp_path / "new")])
    assert "new: cannot write there: Permission denied" in capsys.readouterr().err


def test_options_take_no_program_for_their_own(tmp_path, monkeypatch, capsys):
    """--pictures svg cnn_64, --from a.json cnn_64, and names on both sides of an option."""
    asked = []

    def measured(args, chosen, peers):
        asked.append(([p.name for p in chosen], args.pictures))
        return record_of({})
    monkeypatch.setattr("benchmarks.__main__.measure", measured)
    where = ["--output", str(tmp_path), "--peers", "minigrad"]
    for kinds, pictures in (("svg", ["svg"]), ("svg,png", ["svg", "png"]), ("none", [])):
        assert main(["--pictures", kinds, "cnn_64", *where]) == 0
        assert asked.pop() == (["cnn_64"], pictures)
    assert main(["cnn_64", "--rounds", "2", "mlp_64", "--peers", "minigrad"]) == 0
    assert asked == [(["cnn_64", "mlp_64"], None)]
    capsys.readouterr()
    full_record().save(tmp_path / "run.json")
    assert main(["--from", str(tmp_path / "run.json"), "cnn_64"]) == 0
    out = capsys.readouterr().out
    assert "cnn_64 " in out and "mlp_64" not in out
    with pytest.raises(SystemExit):
        main(["--from", str(tmp_path / "run.json"), "cnn_16"])
    assert "run.json: nothing of cnn_16 was measured there" in capsys.readouterr().err


def test_without_any_library_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setitem(peers.PEERS, "absentee", peers.Peer("absentee", "no_such_package", ""))
    with pytest.raises(SystemExit):
        main(["mlp", "--peers", "absentee"])
    assert "none of the libraries is installed: absentee" in capsys.readouterr().err


def test_peers_of_one_name_are_refused(tmp_path, capsys):
    for name in ("mine.py", "torch.py"):
        (tmp_path / name).write_text("PROGRAMS = {}\n")
        (tmp_path / "more").mkdir(exist_ok=True)
        (tmp_path / "more" / name).write_text("PROGRAMS = {}\n")
    with pytest.raises(SystemExit):
        main(["mlp", "--peers", f"{tmp_path / 'mine.py'},{tmp_path / 'more' / 'mine.py'}"])
    assert "two of the peers are called mine: rename your file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["mlp", "--peers", str(tmp_path / "torch.py")])
    assert "would be called torch, as a known library is" in capsys.readouterr().err


@pytest.mark.parametrize("programs", [("cnn_64",), ("cnn_64", "tanh")])
def test_the_warning_of_a_busy_machine_is_whole_in_a_narrow_picture(programs, monkeypatch):
    backend = pytest.importorskip("matplotlib.backends.backend_agg")
    pictures = pytest.importorskip("benchmarks.pictures")
    record = busy_record()
    record.peers = {p: v for p, v in record.peers.items() if p in ("minigrad", "torch", "jax")}
    record.measurements = [m for m in record.measurements if m.program in programs
                           and m.peer in (*record.peers, "control")]
    seen = 0
    for name in ("bars", "peers", "roofline"):
        for figure in drawn(record, monkeypatch, name):
            canvas = backend.FigureCanvasAgg(figure)
            with pictures.matplotlib.rc_context(pictures._STYLE):
                canvas.draw()
            warning = [t for t in figure.findobj(pictures.matplotlib.text.Text)
                       if "busy machine" in t.get_text()]
            if warning:
                seen += 1
                box = warning[0].get_window_extent(canvas.get_renderer())
                assert box.x0 >= 0 and box.x1 <= figure.bbox.width, (name, box, figure.bbox)
            boxes = [t.get_window_extent(canvas.get_renderer()).padded(-1) for axes in figure.axes
                     for t in axes.texts]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), name
    assert seen
