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
import minigrad.nn.functional as F
import minigrad.optim
from benchmarks import (against, catalogue, peers, process, programs, quiet, report, statistics,
                        turns, worker)
from benchmarks.__main__ import main
from benchmarks.by_hand import steps
from benchmarks.machine import ROOT
from benchmarks.records import Measurement, Record

MINIGRAD = SimpleNamespace(torch=minigrad, nn=minigrad.nn, optim=minigrad.optim, F=F,
                           images=minigrad.tensor, ready=lambda model: model)
QUIET = {"foreign": 0.0, "load": [0.1, 0.2, 0.3]}
BUSY = {"foreign": 0.37, "load": [3.1, 2.0, 1.0]}


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch):
    """The machine that runs the tests may be busy; nothing here depends on it."""
    monkeypatch.setattr(quiet, "check", lambda cores: dict(QUIET))
    monkeypatch.setattr(quiet.Watch, "foreign", lambda self: 0.0)


@pytest.fixture
def no_peaks(monkeypatch):
    monkeypatch.setattr(turns.Runner, "measure_peaks", lambda self, threads: None)


def noisy(rng, seconds, rounds=12, noise=0.02):
    return (seconds * rng.lognormal(0, noise, rounds)).tolist()


def record_of(rows, peer_names=("minigrad", "torch"), threads=2, **more):
    """A record with (program, peer) -> samples, on a machine that never was."""
    machine = {"cpu": "a CPU", "cores": 2, "features": [], "caches": {}, "system": "an OS",
               "versions": {"python": "3"}, "commit": "abc", "date": "today", "command": "none"}
    return Record(machine, {}, dict.fromkeys(peer_names, "1.0"), complete=True, measurements=[
        Measurement(program, peer, threads, samples) for (program, peer), samples in rows.items()],
        **more)


def full_record(slower=1.0, seed=0):
    rng = np.random.default_rng(seed)
    rows, speed = {}, rng.uniform(0.7, 1.4)                    # the machine's speed on that day
    for name, ours in (("linear_regression", 30e-6), ("cnn_64", 8e-3), ("cnn_256", 40e-3),
                       ("rnn_32x32", 1e-3), ("rnn_32x128", 4e-3),
                       ("mlp_64", 1e-3), ("max_pool_2_s2", 1e-3), ("tanh", 2e-4)):
        here = ours * (slower if name == "cnn_64" else 1)
        rows[name, "minigrad"] = noisy(rng, speed * here, noise=0.01)
        rows[name, "torch"] = noisy(rng, speed * 2 * ours, noise=0.01)
        rows[name, "jax"] = noisy(rng, speed * 5 * ours, noise=0.01)
        rows[name, "control"] = noisy(rng, speed * 1e-3, noise=0.01)
    rows["memory_cnn_256", "minigrad"] = [1e8] * 6
    rows["memory_cnn_256", "torch"] = [2e8] * 6
    return record_of(rows, ("minigrad", "torch", "jax"), peaks={2: (3.8e11, 3e10)})


# -------------------------------------------------------------------------------- statistics

def test_a_planted_difference_of_a_tenth_is_found_although_the_machine_drifts():
    rng = np.random.default_rng(0)
    drift = np.exp(np.cumsum(rng.normal(0, 0.15, 12)))         # both are slower at the same time
    base = drift * rng.lognormal(0, 0.01, 12)
    ratio = statistics.paired((1.1 * drift * rng.lognormal(0, 0.01, 12)).tolist(), base.tolist())
    assert ratio.shown and 1.07 < ratio.median < 1.13


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
        turns._sample(bad, "seconds")


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
                           "took 37% of the cores, load average 3.1")
    assert "2 of 9 programs were disturbed (cnn_64, mlp_64)" in text
    assert "not decided: cnn_64, mlp_64" in report.summary(record)
    assert "DISTURBED" not in report.report(full_record())


def test_a_busy_machine_changes_no_memory():
    record = full_record()
    record.get("memory_cnn_256", "minigrad", 2).foreign = 0.9
    row = report.row_of(record, catalogue.PROGRAMS["memory_cnn_256"], 2)
    assert row.verdict == "met" and not row.disturbance


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


def test_a_busy_machine_is_announced_before_and_after(monkeypatch, capsys, tmp_path,
                                                           no_peaks):
    monkeypatch.setattr(quiet, "check", lambda cores: dict(BUSY))
    monkeypatch.setattr(turns.Runner, "run", lambda self, program, threads: (
        self.record.measurements.append(Measurement(program.name, "minigrad", threads, [1e-3]))))
    arguments = ["mlp", "--peers", "minigrad", "--output", str(tmp_path)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err.count("WARNING: this machine is busy (other programs took 37% of the cores") == 2
    assert err.index("WARNING") < err.index("mlp_64: 1.00 ms") < err.rindex("WARNING")
    assert "DISTURBED" in out and "DISTURBED" in (tmp_path / "table.md").read_text()
    assert Record.load(tmp_path / "run.json").quiet == {"before": BUSY, "after": BUSY}


# ---------------------------------------------------------------------------------- programs

# The sizes of a test that a program runs at all.
SMALL = {"batch": 2, "steps": 3, "channels": 4, "size": 8, "filters": 4, "classes": 5, "pairs": 3,
         "inputs": 4, "outputs": 5, "groups": 4}


def rows_to_run():
    """All; without the JIT, where the CNN takes seconds, the first row of each program."""
    firsts = {row.build: name for name, row in reversed(catalogue.PROGRAMS.items())}
    return [name for name in catalogue.PROGRAMS if not PLAIN or name in firsts.values()]


@pytest.mark.parametrize("name", rows_to_run())
def test_every_program_runs_in_minigrad(name):
    program = catalogue.PROGRAMS[name]
    sizes = {k: min(v, SMALL[k]) if k in SMALL else v for k, v in program.sizes.items()}
    sums = worker.fingerprint(program.build(MINIGRAD, **sizes)())
    assert sums and all(np.isfinite(sums)) and any(sums)


def test_a_training_step_of_a_program_changes_the_loss():
    run = catalogue.PROGRAMS["mlp_64"].build(MINIGRAD, batch=4)
    first = float(run())
    assert float([run() for _ in range(5)][-1]) < first


def test_flops_are_those_of_the_formula():
    def flops(name):
        return catalogue.PROGRAMS[name].work[0]
    assert flops("cnn_64") == pytest.approx(1.6e9, rel=0.03)           # counted by hand elsewhere
    assert flops("conv3x3_16x64x28_128_s2") == 3 * 2 * 16 * 128 * 14 * 14 * 64 * 9
    assert flops("rnn_32x32") == pytest.approx(0.15e9, rel=0.1)
    for program in catalogue.PROGRAMS.values():
        assert program.control in ("calls", "gemm", "stream")
        assert program.work is None or min(program.work) > 0
        assert (program.work is None) == (program.control == "calls" or program.measure != "steady")


def test_groups_are_consistent():
    assert {program.group for program in catalogue.PROGRAMS.values()} < set(catalogue.GROUPS)
    assert all(catalogue.members(group) for group in catalogue.GROUPS)
    assert [p.name for p in catalogue.select(["tanh", "regression"])] == [
        "linear_regression", "logistic_regression", "tanh"]


class ByHand(steps.Library):
    """What steps.py says once for all libraries, over minigrad's words."""

    mean, relu, tanh = map(staticmethod, (minigrad.mean, minigrad.relu, minigrad.tanh))
    logistic_loss = staticmethod(F.binary_cross_entropy_with_logits)
    cross_entropy = staticmethod(F.cross_entropy)

    def layer(self, x, w, b):
        if self.channels_last:
            x, w = x.permute(0, 3, 1, 2), w.permute(*np.argsort(self.kernel_axes).tolist())
        y = F.max_pool2d(F.relu(F.conv2d(x, w, b, padding=1)), 2)
        return y.permute(0, 2, 3, 1) if self.channels_last else y

    def training_step(self, loss, weights, x, y):
        params = [minigrad.nn.Parameter(minigrad.tensor(w)) for w in weights]
        optimizer = minigrad.optim.SGD(params, lr=0.01)
        x, y = minigrad.tensor(x), minigrad.tensor(y)

        def run():
            optimizer.zero_grad()
            value = loss(params, x, y)
            value.backward()
            optimizer.step()
            return value
        return run

    def inference(self, forward, weights, x):
        params, x = [minigrad.tensor(w) for w in weights], minigrad.tensor(x)
        return lambda: forward(params, x)

    def forward_backward(self, function, x, seed):
        def run():
            leaf = minigrad.tensor(x, requires_grad=True)
            y = function(leaf)
            y.backward(minigrad.tensor(seed))
            return y, leaf.grad
        return run


class Turned(ByHand):
    inputs_first = channels_last = True
    kernel_axes = (2, 3, 1, 0)


@pytest.mark.parametrize("library", [ByHand, Turned])
@pytest.mark.parametrize("name, sizes", [
    ("linear_regression", {}), ("logistic_regression", {}), ("cnn", {"batch": 2}),
    ("cnn_inference", {"batch": 2}), ("rnn", {"batch": 2, "steps": 3}), ("mlp", {"batch": 2}),
    ("tiny_ops", {"pairs": 3})])
def test_the_steps_by_hand_compute_what_the_programs_do(library, name, sizes):
    by_hand = steps.programs(library())[name](**sizes)
    same = getattr(programs, name)(MINIGRAD, **sizes)
    for _ in range(3):                                         # the weights move alike, too
        assert worker.fingerprint(by_hand()) == pytest.approx(worker.fingerprint(same()), rel=1e-5)


def test_every_row_has_its_control():
    table = peers.load(peers.CONTROL, 1)
    assert all(table(f"control_{program.control}") for program in catalogue.PROGRAMS.values())


@pytest.mark.skipif(PLAIN, reason="as plain Python they take minutes")
@pytest.mark.parametrize("build", ["peak_flops", "peak_bandwidth"])
def test_the_peaks_say_how_much_work_they_are(build):
    run = peers.load(peers.PEAK, 1)(build)()
    run()
    assert run.work > 1e7


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

def test_a_record_survives_json(tmp_path):
    record = full_record()
    record.measurements[0].error = "failed in \"round\" 3"
    record.save(tmp_path / "run.json")
    assert Record.load(tmp_path / "run.json") == record
    (tmp_path / "other.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="not a result"):
        Record.load(tmp_path / "other.json")
    (tmp_path / "old.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match="another format"):
        Record.load(tmp_path / "old.json")


def test_the_table_says_met_missed_and_no_difference():
    same = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98]
    record = record_of({
        ("cnn_64", "minigrad"): [0.5] * 6, ("cnn_64", "torch"): [1.0] * 6,
        ("cnn_64", "torch-channels-last"): [0.9] * 6,
        ("mlp_64", "minigrad"): same, ("mlp_64", "torch"): same[::-1],
        ("mlp_64", "jax"): [0.5] * 6, ("mlp_64", "minigrad@abc"): [0.1] * 6,
        ("import", "minigrad"): [0.2] * 6, ("import", "torch"): [2.0] * 6,
        ("import", "jax"): [0.1] * 6}, ("minigrad", "torch", "torch-channels-last", "jax"))
    rows = {n: report.row_of(record, catalogue.PROGRAMS[n], 2) for n in record.names(2)}
    assert rows["cnn_64"].rival == "torch-channels-last" and rows["cnn_64"].verdict == "met"
    assert rows["cnn_64"].ratio.median == pytest.approx(0.5 / 0.9)
    assert rows["mlp_64"].verdict == "missed; no difference shown"
    text = report.report(record)
    assert rows["mlp_64"].rival == "jax" and "2.00 [1.96 2.04] jax" in text
    assert "missed (at most 150 ms)" in text and rows["import"].rival == "torch"
    assert "1 of 3 targets met; missed: mlp_64, import" in text
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


# ------------------------------------------------------------------------------ another tree

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
    assert against.conclude(record, 0.1)
    out = capsys.readouterr().out
    assert "2 slower (tiny_ops, memory_cnn_256); 1 faster; 2 no slower; 0 not decided" in out
    assert "no slower (busy machine, 50% taken by others)" in out      # both trees alike
    assert "1 of them were made on a busy machine" in out
    assert out.endswith("Verdict: something got slower.\n")


def test_the_verdict_on_two_trees_is_no_better_than_its_evidence(capsys):
    assert not against.conclude(two_trees({"tiny_ops": 1.0, "mlp_64": 0.9}), 0.1)
    assert "Verdict: nothing got slower." in capsys.readouterr().out
    few = two_trees({"tiny_ops": 1.3}, rounds=4)
    few.measurements.append(Measurement("mlp_64", "minigrad", 2, [1.0]))
    few.measurements.append(Measurement("mlp_64", "minigrad@abc", 2, error="crashed"))
    assert not against.conclude(few, 0.1)
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
    peer = against.find("HEAD", tmp_path / "scratch")
    assert peer.name.startswith("minigrad@") and peer.compared
    assert "then" in (tmp_path / "scratch" / peer.name[9:] / "minigrad" / "__init__.py").read_text()
    assert peers.find_peer(peer.spec).tree == peer.tree
    with pytest.raises(ValueError, match="want the folder of another checkout, or a git"):
        against.find("no-such-revision", tmp_path)


def test_a_folder_takes_part_in_the_run(tmp_path, monkeypatch, capsys, no_peaks):
    """Another checkout's minigrad in a process of its own, under this tree's programs."""
    shutil.copytree(ROOT / "minigrad", tmp_path / "old" / "minigrad",
                    ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "old" / "minigrad" / "__init__.py").open("a", encoding="utf-8") as file:
        file.write("print('this is the old one')\n")
    monkeypatch.setattr("benchmarks.__main__._settings", lambda args: turns.Settings(
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

def crooked_record():
    """Rounds of two speeds: the quotient of medians is 0.1, the median of the quotients 0.5."""
    slow, fast = 1.0, 0.1
    ours = [0.5 * fast] * 4 + [0.5 * slow] * 3
    theirs = [fast] * 3 + [slow] * 4
    jax = [3 * t for t in theirs]
    return record_of({("cnn_64", "minigrad"): ours, ("cnn_64", "torch"): theirs,
                      ("cnn_64", "jax"): jax}, ("minigrad", "torch", "jax"))


def test_picture_and_table_say_the_same_where_medians_would_say_another_thing():
    pictures = pytest.importorskip("benchmarks.pictures")
    record = crooked_record()
    ours, torch = (record.get("cnn_64", p, 2).median for p in ("minigrad", "torch"))
    assert ours / torch == pytest.approx(0.05)                 # what a quotient of medians says
    ratio = report.row_of(record, catalogue.PROGRAMS["cnn_64"], 2).ratio
    assert ratio.median == pytest.approx(0.5) and "0.50 [0.05 0.50]" in report.report(record)
    (axes,) = pictures.relative(record).axes
    assert 0.5 in [x for line in axes.lines for x in np.round(line.get_xdata(), 6)]
    ((low, _), (high, _)), = axes.collections[-1].get_segments()       # the interval is drawn
    assert (low, high) == (ratio.low, ratio.high)
    assert "0.50? of PyTorch" in [text.get_text() for text in axes.texts]      # it is too wide


def words_of(figure):
    """The texts that are seen, with their places."""
    backend = pytest.importorskip("matplotlib.backends.backend_agg")
    pictures = pytest.importorskip("benchmarks.pictures")
    canvas = backend.FigureCanvasAgg(figure)
    with pictures.matplotlib.rc_context(pictures._STYLE):
        canvas.draw()
    shown = [tick.label1 for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
             for tick in axis._update_ticks()]
    every = [label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
             for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
             for label in (tick.label1, tick.label2)]
    return [(t.get_text(), t.get_window_extent(canvas.get_renderer()).padded(-1))
            for t in figure.findobj(pictures.matplotlib.text.Text)
            if t.get_visible() and t.get_text().strip() and (t in shown or t not in every)]


def kept_record():
    return Record.load(ROOT / "benchmarks" / "results" / "run.json")


def wide_record():
    """A run in which one library takes 200 times as long, another a hundredth."""
    return record_of({(program, peer): [seconds * factor for factor in (1, 1.01, 1.02, 1, 1.01, 1)]
                      for program, torch, jax in (("cnn_64", 2.0, 300.0), ("tiny_ops", 0.01, 9.0),
                                                  ("tanh", 200.0, 300.0))
                      for peer, seconds in (("minigrad", 1.0), ("torch", torch), ("jax", jax))},
                     ("minigrad", "torch", "jax"))


@pytest.mark.parametrize("make", [full_record, busy_record, crooked_record, wide_record,
                                  kept_record])
def test_words_of_a_picture_lie_inside_it_and_not_upon_others(make):
    pictures = pytest.importorskip("benchmarks.pictures")
    record = make()
    figures = [figure for draw in (pictures.relative, pictures.limits) if (figure := draw(record))]
    assert len(figures) == 1 + bool(record.peaks)
    for figure in figures:
        words = words_of(figure)
        assert len(words) > 5
        for i, (text, box) in enumerate(words):
            assert box.x0 >= 0 and box.x1 <= figure.bbox.width, text
            assert box.y0 >= 0 and box.y1 <= figure.bbox.height, text
            for other, place in words[i + 1:]:
                assert not box.overlaps(place), (text, other)
        warned = any("Measured on a busy machine (2 of" in t.replace("\n", " ") for t, _ in words)
        assert warned == (make is busy_record)


def test_pictures_are_drawn_from_a_saved_run(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    record = kept_record()
    record.save(tmp_path / "run.json")
    assert main(["--from", str(tmp_path / "run.json"), "--output", str(tmp_path / "new")]) == 0
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"table.md", "relative.svg",
                                                              "limits.svg"}
    for path in (tmp_path / "new").glob("*.svg"):
        words = " ".join(ElementTree.parse(path).getroot().itertext())
        assert all(f" {m.program} " in words.replace("\n", " ") for m in record.measurements
                   if m.program.startswith(("cnn", "conv"))), path
        assert path.stat().st_size < 150_000
    assert "| cnn_64" in (tmp_path / "new" / "table.md").read_text(encoding="utf-8")


def test_without_other_libraries_there_is_nothing_to_compare(tmp_path):
    pictures = pytest.importorskip("benchmarks.pictures")
    alone = record_of({("mlp_64", "minigrad"): [1e-3] * 6}, ("minigrad",))
    assert pictures.draw_all(alone, tmp_path) == []


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


def test_missing_raising_and_crashing_peers_are_survived(tmp_path, hand_made, monkeypatch, capsys,
                                                             no_peaks):
    monkeypatch.setitem(peers.PEERS, "absentee", peers.Peer("absentee", "no_such_package", ""))
    short = turns.Settings(rounds=2, turn=0.001, pause=0)
    monkeypatch.setattr("benchmarks.__main__._settings", lambda args: short)
    assert main(["linear_regression", "mlp_64", "tiny_ops", "--threads", "1", "--output",
                 str(tmp_path), "--peers", f"absentee,{hand_made}"]) == 0
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


def test_an_interruption_keeps_what_was_measured(monkeypatch, capsys, tmp_path, no_peaks):
    def interrupted(self, program, threads):
        row = Measurement(program.name, "minigrad", threads, [1e-3])
        self.record.measurements.append(row)
        raise KeyboardInterrupt
    monkeypatch.setattr(turns.Runner, "run", interrupted)
    assert main(["mlp", "cnn", "--output", str(tmp_path), "--peers", "minigrad"]) == 130
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


def fake_workers(monkeypatch, answers, **settings):
    """Workers that answer to "turn" as told: a number of seconds, or an error; who was dropped."""
    dropped = []

    def ask(self, peer, threads, do, **arguments):
        if do == "drop":
            dropped.append(peer.name)
        answer = answers[peer.name]
        if isinstance(answer, Exception) and do == "turn":
            raise answer
        return {"check": [], "seconds": answer}
    monkeypatch.setattr(turns.Runner, "_ask", ask)
    known = [peers.PEERS[name] for name in answers if name in peers.PEERS]
    return turns.Runner(record_of({}), known, turns.Settings(pause=0, **settings),
                        tell=lambda text: None), dropped


def measured(runner, name):
    """The rows of one program, by library."""
    runner.run(catalogue.PROGRAMS[name], threads=1)
    return {m.peer: m for m in runner.record.measurements if m.program == name}


def test_who_hangs_is_not_asked_again_and_who_fails_is(monkeypatch):
    runner, _ = fake_workers(monkeypatch, {
        "minigrad": 1.0, "torch": process.WorkerError("crashed"),
        "jax": process.Hangs("no answer"), "mygrad": 0.0, "numpy": 1.0}, rounds=2)
    first, second = measured(runner, "mlp_64"), measured(runner, "tanh")
    assert first["jax"].error == "no answer"
    assert first["mygrad"].error == "measured 0.0 seconds: too little to be seen"
    assert second["jax"].error == "left out: it hung at mlp_64"
    assert second["torch"].error == "crashed" and second["minigrad"].error == ""
    assert len(second["minigrad"].samples) == len(second["control"].samples) == 2


def test_who_is_far_behind_ends_after_two_rounds(monkeypatch):
    """Once it has spent `seconds`, which are none here; the others have all six rounds."""
    takes = {"minigrad": 0.01, "torch": 0.09, "jax": 2.0, "numpy": 0.001}
    runner, dropped = fake_workers(monkeypatch, takes, seconds=0)
    assert {peer: len(row.samples) for peer, row in measured(runner, "mlp_64").items()} == {
        "minigrad": 6, "torch": 6, "jax": 2, "control": 6}
    assert dropped[0] == "jax" and sorted(dropped) == sorted(takes)
    assert set(measured(runner, "cnn_4096")) == {"minigrad", "torch", "control"}


def test_who_does_not_start_is_left_out_with_the_reason(tmp_path, monkeypatch):
    path = tmp_path / "broken.py"
    path.write_text("raise OSError('no libmlx.so')\n")
    broken = peers.find_peer(str(path))
    runner = turns.Runner(record_of({}), [broken], turns.Settings(rounds=1, pause=0, turn=0.001),
                          tell=lambda text: None)
    try:
        first, second = measured(runner, "import")["broken"], measured(runner, "mlp_64")["broken"]
    finally:
        runner.close()
    assert first.error == "does not start: OSError: no libmlx.so"
    assert second.error == "left out: it does not start: OSError: no libmlx.so"


def test_a_worker_pins_itself_and_answers_in_json(hand_made):
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", hand_made, "1", ""], cwd=ROOT, text=True,
        capture_output=True, timeout=60, input='{"do": "prepare", "build": "linear_regression", '
        '"sizes": {}}\n{"do": "turn", "seconds": 0.001}\n{"do": "prepare", "build": "cnn", '
        '"sizes": {}}\n')
    start, prepared, turn, absent = map(json.loads, process.stdout.splitlines())
    assert start["import"] > 0
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
    (["mlp", "--peers", ""], r"--peers: want names, with commas between them; got ''"),
    (["mlp", "--peers", "torch,,jax"], r"--peers: want names, with commas between"),
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
    (["mlp", "--tolerance", "0.2"], r"--tolerance is what --against forgives; want --against"),
    (["--against", "x", "--tolerance", "nan"], r"--tolerance: want a number such as 0.10 for 10"),
    (["mlp", "--against", "no_such"], r"--against no_such: want the folder of another checkout"),
    (["mlp", "--against", "."], r"--against compares this tree's minigrad: want it among --peers"),
    (["--rounds", "3", "--seconds", "2"], r"--rounds counts, --seconds looks at the clock: want"),
    (["--from", "a.json", "--rounds", "3"], r"--from reads what was measured; --rounds says how"),
    (["--from", "a.json", "--against", "HEAD"], r"--against says how to measure: want one"),
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


def test_names_stand_on_both_sides_of_an_option_and_choose_what_is_read(tmp_path, monkeypatch,
                                                                        capsys):
    asked = []

    def measured(args, chosen, peers):
        asked.append([p.name for p in chosen])
        return record_of({})
    monkeypatch.setattr("benchmarks.__main__.measure", measured)
    assert main(["cnn_64", "--rounds", "2", "mlp_64", "--peers", "minigrad"]) == 0
    assert asked == [["cnn_64", "mlp_64"]]
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
