"""Names: what the modules show (dir, help, import *), and what they answer for what they lack."""
import copy
import inspect
import pickle
import pydoc
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

import minigrad as mg
from minigrad import absent
from minigrad.__main__ import main
from minigrad.absent import INSTEAD, PLACES, answer, torch_names

ROOT = Path(__file__).resolve().parents[1]
each_place = pytest.mark.parametrize("place", PLACES)


def a_lacking_name(place):
    """A name that torch has and this module lacks, whatever exists by now; None for none."""
    return next(iter(absent.absent(place)), None)


@pytest.mark.parametrize("place, name, said", [
    ("minigrad", "zerros", "minigrad has no 'zerros'; did you mean zeros?"),
    ("minigrad.nn", "Lineaar", "did you mean Linear?"),
    ("minigrad.nn", "relu", "did you mean ReLU?"),
    ("minigrad", "cross_entropy", "it is minigrad.nn.functional.cross_entropy"),
    ("minigrad", "DataLoader", "it is minigrad.data.DataLoader"),
    ("minigrad.nn.functional", "exp", "it is minigrad.exp"),
    ("minigrad.nn", "xyzzy", "dir(minigrad.nn) lists what there is"),
    ("minigrad.autograd", "foo", "dir(minigrad.autograd) lists what there is"),   # not floor
])
def test_a_misspelt_or_misplaced_name_is_told(place, name, said):
    module = import_module(place)
    with pytest.raises(AttributeError, match=re.escape(said)):
        getattr(module, name)
    assert not hasattr(module, name)
    with pytest.raises(ImportError, match=re.escape(said)):
        exec(f"from {place} import {name}")


@pytest.mark.parametrize("place, name, other", [
    ("minigrad", "svd", "std"), ("minigrad", "kron", "round"), ("minigrad", "jit", "int"),
    ("minigrad.autograd", "functional", "minigrad.nn.functional")])
def test_a_short_name_is_not_mistaken_for_another(place, name, other):
    """svd is spelt right: std would be another function."""
    if hasattr(import_module(place), name):
        pytest.skip(f"{name} is here by now")
    assert other not in answer(place, name)


@each_place
def test_every_name_that_torch_has_answers_with_what_to_do(place):
    module = import_module(place)
    for name in absent.absent(place):
        assert not hasattr(module, name)
        text = answer(place, name)
        assert text.startswith(f"{place} has no '{name}', which torch has; ")
        assert INSTEAD.get(name, "") in text


@each_place
def test_an_entry_disappears_when_the_name_exists(place, monkeypatch):
    module, name = import_module(place), a_lacking_name(place)
    if name is None:                               # all of torch's names are there
        assert {*torch_names()[place]} <= {*dir(module)}
        return
    with pytest.raises(AttributeError, match="which torch has"):
        getattr(module, name)
    monkeypatch.setitem(vars(module), name, len)
    assert getattr(module, name) is len
    exec(f"from {place} import {name}")
    monkeypatch.setattr(module, "__all__", [*module.__all__, name])
    assert name not in absent.absent(place)
    assert main(["absent", f"{place}.{name}"]) == 0


def test_no_table_holds_what_torch_does_not_have():
    everywhere = {n for names in torch_names().values() for n in names}
    assert {*INSTEAD} - everywhere == set()


# What INSTEAD says is tried: (name, the arguments it speaks of, the value wanted).
X = np.array([[0.5, -2.0, 0.0], [3.0, 1.0, 0.25]])
Y = np.array([[1.5, 0.5, 2.0], [-1.0, 0.25, 3.0]])
P = np.array([0.2, 0.7, 0.9])


@pytest.mark.parametrize("name, given, wanted", [
    ("mv", {"A": X, "x": P}, X @ P), ("inner", {"a": X, "b": Y}, (X * Y).sum(-1)),
    ("lerp", {"a": X, "b": Y, "w": 0.3}, X + 0.3 * (Y - X)),
    ("fmod", {"a": X, "b": Y}, np.fmod(X, Y)), ("logit", {"p": P}, np.log(P / (1 - P))),
    ("logaddexp", {"a": X, "b": Y}, np.logaddexp(X, Y)),
    ("hypot", {"a": X, "b": Y}, np.hypot(X, Y)),
    ("nan_to_num", {"x": np.where(X > 1, np.nan, X)}, np.where(X > 1, 0, X)),
    ("clamp_min", {"x": X, "low": 0.1}, X.clip(0.1)), ("erfc", {"x": P * 0}, np.ones(3)),
    ("deg2rad", {"x": X}, np.deg2rad(X)), ("rad2deg", {"x": X}, np.rad2deg(X)),
    ("sinc", {"x": X}, np.sinc(X)), ("heaviside", {"x": X, "values": 0.5}, np.heaviside(X, 0.5)),
    ("xlogy", {"x": X, "y": np.abs(Y)}, X * np.log(np.abs(Y))),
    ("count_nonzero", {"x": X, "dim": 0}, np.count_nonzero(X, 0)),
    ("nansum", {"x": np.where(X > 1, np.nan, X), "dim": 1}, np.where(X > 1, 0, X).sum(1)),
    ("nanmean", {"x": np.where(X > 1, np.nan, X), "dim": 1},
     np.nanmean(np.where(X > 1, np.nan, X), 1)),
    ("median", {"x": P, "n": 3}, np.median(P)), ("diff", {"x": X}, np.diff(X, axis=0)),
    ("ravel", {"x": X}, X.ravel()), ("fliplr", {"x": X}, np.fliplr(X)),
    ("flipud", {"x": X}, np.flipud(X)), ("msort", {"x": X}, np.sort(X, 0)),
    ("dist", {"a": X, "b": Y}, np.linalg.norm(X - Y)), ("argwhere", {"x": X}, np.argwhere(X)),
    ("dstack", {"matrices": [X, Y]}, np.dstack([X, Y])),
    ("column_stack", {"vectors": [P, P]}, np.column_stack([P, P])),
    ("addmm", {"c": 1.0, "a": X, "b": Y.T}, 1 + X @ Y.T),
    ("cosine_similarity", {"a": X, "b": Y},
     (X * Y).sum(1) / np.linalg.norm(X, axis=1) / np.linalg.norm(Y, axis=1)),
    ("LayerNorm", {"x": X}, (X - X.mean(1, keepdims=True))
     / np.sqrt(X.var(1, keepdims=True) + 1e-5)),
    ("BatchNorm1d", {"x": X}, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5)),
])
def test_what_is_to_be_written_instead_computes_it(name, given, wanted):
    def tensor(value):
        return [mg.tensor(v) for v in value] if isinstance(value, list) else \
            mg.tensor(value) if isinstance(value, np.ndarray) else value
    code = INSTEAD[name].partition(", the batch")[0]
    value = eval(code, {**vars(mg), **{k: tensor(v) for k, v in given.items()}})
    np.testing.assert_allclose(value.numpy(), wanted, rtol=1e-6, atol=1e-7)


def test_saving_as_it_is_said(tmp_path):
    assert "pickle.dump(model.state_dict(), file)" in INSTEAD["save"]
    model, other = mg.nn.Linear(2, 3), mg.nn.Linear(2, 3)
    (tmp_path / "model").write_bytes(pickle.dumps(model.state_dict()))
    other.load_state_dict(pickle.loads((tmp_path / "model").read_bytes()))
    assert mg.equal(model.weight, other.weight)


# Nobody who probes is disturbed.

@each_place
def test_tools_that_probe_get_plain_errors(place):
    module = import_module(place)
    for name in ("__wrapped__", "__path_of_nothing__", "_private", "__deepcopy__"):
        with pytest.raises(AttributeError, match=f"^module '{place}' has no attribute '{name}'$"):
            getattr(module, name)
    with pytest.raises(ImportError):
        exec(f"from {place} import _private")
    assert getattr(module, "xyzzy", 5) == 5
    assert inspect.unwrap(module) is module and inspect.getdoc(module)
    assert mock.create_autospec(module) is not None
    assert dict(inspect.getmembers(module)).keys() == {*module.__all__}
    with pytest.raises(AttributeError) as caught:
        module.xyzzy                               # noqa: B018
    error = caught.value
    assert str(pickle.loads(pickle.dumps(error))) == str(copy.copy(error)) == str(error)


def test_a_probe_reads_no_file_and_an_import_brings_nothing():
    code = ("import sys, minigrad; from minigrad import nn, optim, data;"
            "before = {*sys.modules}; assert not hasattr(minigrad, 'einsum_');"
            "assert not hasattr(nn, 'xyzzy'); new = {*sys.modules} - before;"
            "assert not new - {'opcode', '_opcode', '_opcode_metadata'}, new;"
            "assert 'minigrad.data.fashion_mnist' not in sys.modules;"
            "from minigrad.data import FashionMNIST, fashion_mnist")
    subprocess.run([sys.executable, "-c", code], check=True)


# dir, import * and help show what is public.

@each_place
def test_dir_shows_public_names_and_only_those(place):
    module = import_module(place)
    names = dir(module)
    assert names == sorted(names) == module.__all__ and not [n for n in names if n[0] == "_"]
    shown = {n for n in names if inspect.ismodule(getattr(module, n))}
    assert shown == {n for n in names if f"{place}.{n}" in PLACES} - {"grad"} | (
        {"utils"} if place == "minigrad.nn" else {"debug"} if place == "minigrad" else set())
    space = {}
    exec(f"from {place} import *", space)
    assert {*names} == space.keys() - {"__builtins__"}
    for name in names:
        value = getattr(module, name)
        assert not callable(value) or inspect.isbuiltin(value) or value.__doc__, name


def test_what_has_docstrings_and_is_exported_is_in_dir():
    """No second list: whatever `__init__` binds under a public name is shown."""
    source = (ROOT / "minigrad/__init__.py").read_text(encoding="utf-8")
    bound = {n for n in re.findall(r"\b\w+ as (\w+)", source) if n[0] != "_"} - {"torch", "ops"}
    assert bound <= {*dir(mg)} and "engine" not in dir(mg) and "kernels" not in dir(mg)


@each_place
def test_help_lists_every_function_and_class_with_its_documentation(place):
    module = import_module(place)
    text = pydoc.plain(pydoc.render_doc(module))
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isroutine(value) or inspect.isclass(value):
            first = value.__doc__.strip().splitlines()[0].rstrip()
            assert re.search(rf"^    (class )?{name}\b", text, re.M) or \
                re.search(rf"^    {name} = {value.__name__}\b", text, re.M), name
            assert first in text, name


@pytest.mark.parametrize("thing, lines", [
    (mg.matmul, ["matmul(input: 'Tensor', other: 'Tensor') -> 'Tensor'"]),
    (mg.sum, ["sum(input: 'Tensor', dim: 'Dim' = None, keepdim: 'bool' = False, *, dtype"]),
    (mg.Tensor.clamp_, ["clamp_(input: 'Tensor', min: 'float | None' = None", "in place"]),
    (mg.Tensor, ["class Tensor(", "backward(self, gradient", "Methods inherited from", "relu(",
                 "shape\n", "The dimensions in reverse order"]),
    (mg.nn.Linear, ["in_features: 'int'", "y = x W^T + b", "forward(self, input"]),
])
def test_help_of_one_thing_is_readable(thing, lines):
    text = pydoc.plain(pydoc.render_doc(thing))
    for line in lines:
        assert line in text
    assert "_first_call" not in text and "<lambda>" not in text


# The command and the README.

def test_the_command_lists_what_is_absent(capsys):
    assert main(["absent"]) == 0
    text = capsys.readouterr().out
    for place in (*PLACES, "minigrad.Tensor"):
        assert f"\n{place}\n" in text
        for name in absent.absent(place):
            assert re.search(rf"\b{name}\b", text)
    assert main(["absent", "nn.functional.zzz"]) == 0 and main(["absent", "zeros"]) == 0
    assert capsys.readouterr().out.endswith("minigrad.zeros is there\n")
    assert main(["absent", "cheese.burger"]) == 1


def test_what_the_readme_says_of_absent_names_is_what_is_said():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^(minigrad[\w.]*) has no '(\w+)'.*$", readme, re.M)
    assert len(shown) >= 3
    for place, name in shown:
        assert answer(place, name) in readme


def test_what_only_sounds_alike_is_not_offered():
    for name in ("kron", "foo"):
        assert "nearest" not in absent.answer("minigrad", name)
    assert "nn.functional" not in absent.answer("minigrad.autograd", "functional")
