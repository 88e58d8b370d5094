"""Declared arguments: every declared operation refuses what its declaration does not allow, and
says so; its docstring shows the declared shapes; the language itself.

There is no list of operations here: a new declaration is tested without an edit. What is special
about an operation (channels that come last, labels that count from 1) is tested with it.
"""
import functools
import gc
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad.autograd.op import OPS
from minigrad.autograd.options import Case, choice, divides, flag, integer, number, pair, sizes
from minigrad.autograd.signature import Signature
from op_testing import draw

DECLARED = {name: entry for name, entry in OPS.items() if entry.takes is not None}


@functools.cache
def samples(name):
    """Legal arguments of an operation by name: those without an empty array."""
    entry, found = DECLARED[name], []
    for args, options in draw(entry):
        bound = entry.signature.bind(*args, **options)
        bound.apply_defaults()
        given = dict(bound.arguments)
        if all(given[x] is None or given[x].size for x in entry.takes.arguments) and not (
                name == "cross_entropy" and given["target"].dtype.kind != "f"):
            found.append(given)                    # (of labels another one is declared)
    return found


def call(entry, given):
    """The operation of Tensors where its annotation says so."""
    return entry.public(**{
        n: mg.tensor(x) if isinstance(x, np.ndarray)
        and "Tensor" in str(entry.parameters[n].annotation) else x for n, x in given.items()})


def refused(entry, given, kinds, *parts):
    """Asserts that the call raises one of these, with the operation's name and all the parts."""
    with pytest.raises(kinds) as error:
        call(entry, given)
    text = str(error.value)
    assert text.startswith(f"{entry.takes.name}: "), text
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"
    assert re.search(r"\bwant\b|\bmust\b|\bso \w+ = |\bis required\b|\bnames\b|\bdoes not exist\b|"
                     r"does not broadcast|wants stride", text), text
    assert error.value.__suppress_context__ or error.value.__context__ is None, text


def longer(x, axis):
    """The array with one more element along an axis, of the same values (labels stay legal)."""
    return x.take(range(x.shape[axis] + 1), axis, mode="clip")


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_legal_is_taken(name):
    entry = DECLARED[name]
    assert samples(name)
    for given in samples(name):
        call(entry, given)


@pytest.mark.parametrize("name", DECLARED)
def test_every_rank_that_is_not_declared_is_refused(name):
    entry, tried = DECLARED[name], 0
    for given in samples(name):
        for argument, (forms, _) in entry.takes.arguments.items():
            x = given[argument]
            if x is None:
                continue
            for other in (x[None], x[None, None], *([x[0]] if x.ndim else [])):
                if not any(form.fits(other.ndim) for form in forms):
                    refused(entry, {**given, argument: other}, ValueError, argument,
                            str(other.shape))
                    tried += 1
    every_rank = all(any(form.fits(rank) for form in forms) for rank in range(1, 9)
                     for forms, _ in entry.takes.arguments.values())
    assert tried or every_rank


@pytest.mark.parametrize("name", DECLARED)
def test_arguments_of_two_forms_take_the_same(name):
    """With a batch beside without one, or labels for a batch beside those of one prediction."""
    entry, tried = DECLARED[name], 0
    several = [n for n, (forms, _) in entry.takes.arguments.items() if len(forms) > 1]
    for given in samples(name):
        for argument in several[1:]:
            refused(entry, {**given, argument: given[argument][None]}, ValueError, argument,
                    str(given[argument][None].shape))
            tried += 1
    assert tried or len(several) < 2


@pytest.mark.parametrize("name", DECLARED)
def test_each_named_dimension_off_by_one_is_refused(name):
    entry, tried = DECLARED[name], 0
    for given in samples(name):
        places = {}                                # letter: where it stands
        forms = {n: next(f for f in forms if f.fits(np.ndim(given[n])))
                 for n, (forms, _) in entry.takes.arguments.items() if given[n] is not None}
        for option, kind in entry.takes.options.items():
            for i, letter in enumerate(kind.letters if isinstance(kind, sizes) else ()):
                places.setdefault(letter, []).append((option, i))
        for argument, form in forms.items():
            axis = 0
            for dim, size in form.read(given[argument].shape):
                for i in range(len(size) if dim.star else 1):
                    letter = f"{dim.letter}{i + 1}" if dim.star else dim.letter
                    if dim.letter != "...":
                        places.setdefault(letter, []).append((argument, axis))
                    axis += 1
        for found in places.values():
            for argument, axis in found if len(found) > 1 else ():
                if argument in entry.takes.options:
                    continue                       # sizes of a result: any fit that is counted
                other = longer(given[argument], axis)
                refused(entry, {**given, argument: other}, ValueError, argument, str(other.shape))
                tried += 1
    alone = sum(len(forms[0].dims) for forms, _ in entry.takes.arguments.values()) < 2 or \
        len(entry.takes.arguments) == 1 or name == "outer"
    assert tried or alone


@pytest.mark.parametrize("name", DECLARED)
def test_every_other_dtype_is_refused(name):
    entry = DECLARED[name]
    for given in samples(name):
        for names, kind in entry.takes.groups:
            there = [n for n in names if given[n] is not None]
            for argument in there:
                x = given[argument]
                if (name, argument) == ("cross_entropy", "target"):
                    continue                       # integers are labels, declared by another op
                if kind == "floating" and len(there) > 1:
                    refused(entry, {**given, argument: x.astype(np.float32)}, TypeError,
                            f"{argument} float32", "float64", "one dtype")
                if kind == "floating":
                    refused(entry, {**given, **{n: given[n].astype(np.int64) for n in there}},
                            TypeError, argument, "int64", "floating")
                elif kind == "integer":
                    refused(entry, {**given, argument: x.astype(np.float64)}, TypeError, argument,
                            "float64")


@pytest.mark.parametrize("name", DECLARED)
def test_every_wrong_option_is_refused(name):
    entry = DECLARED[name]
    for option, kind in entry.takes.options.items():
        assert kind.wrong and kind.wants
        for value in kind.wrong:
            for given in samples(name)[:2]:
                what = () if value is None else (str(value).strip("()"),)
                refused(entry, {**given, option: value}, (ValueError, TypeError), option, *what)


@pytest.mark.parametrize("name", DECLARED)
def test_what_is_no_tensor_is_refused(name):
    entry = DECLARED[name]
    given = samples(name)[0]
    for argument, (_, optional) in entry.takes.arguments.items():
        for other in ["text"] + [None] * (not optional):
            with pytest.raises((TypeError, ValueError), match=argument):
                call(entry, {**given, argument: other})


@pytest.mark.parametrize("name", DECLARED)
def test_the_docstring_shows_the_declared_shapes(name):
    entry = DECLARED[name]
    assert entry.takes.line() in " ".join(entry.doc.split())


@pytest.mark.parametrize("name", DECLARED)
def test_the_declared_names_are_those_of_the_function(name):
    entry = DECLARED[name]
    assert {*entry.takes.parameters} <= {*entry.parameters}
    assert {*entry.takes.typed} <= {*entry.takes.arguments}
    letters = {dim.letter for forms, _ in entry.takes.arguments.values()
               for form in forms for dim in form.dims}
    assert {key.removesuffix(">0") for key in entry.takes.advice} <= {
        *letters, *entry.takes.arguments, *entry.takes.options}


# --- the language --------------------------------------------------------------------------------

X, W = np.zeros((2, 3)), np.zeros((4, 3))


def message(signature, *given):
    with pytest.raises((ValueError, TypeError)) as error:
        signature.of("f").check(*given)
    return str(error.value)


def test_a_letter_is_one_size_and_the_first_two_are_shown():
    s = Signature("x (N, K); w (M, K); b (M,)? -> (N, M)")
    assert s.of("f").check(X, W, None) == s.check(X, W, np.zeros(4)) == ()
    assert message(s, X, np.zeros((4, 5)), None) == (
        "f: x (2, 3) is (N, K), so K = 3; w (4, 5) is (M, K), so K = 5; want the same K")
    assert message(s, X, W, np.zeros(3)) == (
        "f: w (4, 3) is (M, K), so M = 4; b (3,) is (M,), so M = 3; want b (4,)")
    assert message(s, X[0], W, None) == "f: want x (N, K), got (3,)"
    assert s.line() == "x (N, K), w (M, K), b (M,) -> (N, M)"


def test_the_one_that_differs_from_most_is_blamed():
    s = Signature("h (N, D); w, u (D, D)")
    text = message(s, np.zeros((2, 4)), np.zeros((5, 5)), np.zeros((5, 5)))
    assert text == "f: w (5, 5) is (D, D), so D = 5; h (2, 4) is (N, D), so D = 4; want the same D"


def test_forms_go_together_and_a_question_mark_is_short_for_two():
    for shapes in ("x (N?, C); t (N?)", "x (N, C) | (C,); t (N,) | ()"):
        s = Signature(shapes)
        assert s.of("f").check(X, np.zeros(2)) == s.check(X[0], np.zeros(())) == ()
        assert message(s, X, np.zeros(())) == "f: x (2, 3) is (N, C); want t (N,) = (2,), got ()"
        assert message(s, X[0], X[0]) == "f: x (3,) is (C,); want t () = (), got (3,)"
        assert s.line() == "x (N, C) or (C,), t (N,) or ()"


def test_stars():
    s = Signature("x (N, C, *d); t (N, *d); w (~*d)?")
    x, t = np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5))
    assert s.of("f").check(x, t, np.zeros((4, 1))) == s.check(X, np.zeros(2), None) == ()
    assert message(s, x, np.zeros((2, 4, 6)), None) == (
        "f: x (2, 3, 4, 5) is (N, C, d1, d2), so d2 = 5; t (2, 4, 6) is (N, d1, d2), so d2 = 6; "
        "want t (2, 4, 5)".replace("want t", "want the same d2, such as t"))
    assert message(s, x, X, None) == (
        "f: x (2, 3, 4, 5) is (N, C, d1, d2); want t (N, d1, d2) = (2, 4, 5), got (2, 3)")
    for bad in ((4,), (1, 4, 5), (2, 4, 5)):
        assert message(s, x, t, np.zeros(bad)) == \
            f"f: w {bad} does not broadcast to the x's shape (4, 5)"
    assert s.line() == "x (N, C, d1, ...), t (N, d1, ...), w (d1, ...)"
    s = Signature("x, y (*d)")
    assert message(s, X, W) == "f: x (2, 3) and y (4, 3) must have the same shape"


def test_products_and_least_sizes():
    s = Signature("x (N, C); w (F, C/groups)", options={"groups": divides("F", "features")})
    assert s.of("f").check(np.zeros((1, 6)), W, 2) == (2,)
    assert message(s, X, W, 2) == (
        "f: x (2, 3) is (N, C), so C = 3; w (4, 3) is (F, C/groups), so C = 3*2 = 6; want the same "
        "C")
    s = Signature("x (T>0, N)", advice={"T>0": lambda case: f"no steps in {case.shapes['x']}"})
    assert message(s, X[:0]) == "f: x (0, 3) is (T, N), so T = 0: no steps in (0, 3)"


def test_dtypes():
    s = Signature("x (N, C); w (M, C); t (N,)", "x w floating; t integer")
    t, half = np.zeros(2, np.int64), np.float32
    assert s.of("f").check(X, W, t) == ()
    assert message(s, X, W.astype(half), t) == (
        "f: want floating arrays of one dtype, got x float64, w float32; convert x: "
        "x.to(minigrad.float32), an array with x.astype('float32')")
    assert "convert all of them: x.float()" in message(s, X.astype(int), W.astype(int), t)
    assert message(s, X, W, X[:, 0]) == "f: want an integer t, got float64; convert it: t.long()"
    assert message(s, [[1.0]], W, t) == (
        "f: argument 'x' must be a Tensor, got list; make it one with minigrad.tensor(...)")


def test_options():
    s = Signature("x (N, C)", options={
        "a": integer(1), "b": pair(0), "c": pair(1, like="b"), "d": number(0, 1),
        "e": choice("one", "two"), "f": flag(), "g": sizes("C")})
    assert s.of("f").check(X, np.int8(3), (0, 2), None, 1, "two", np.True_, (3,)) == (
        3, (0, 2), (0, 2), 1.0, "two", True, (3,))
    assert message(s, X, 1, 1, 1, 0, "one", 0, (4,)) == (
        "f: g (4,) is (C), so C = 4; x (2, 3) is (N, C), so C = 3; want the same C")
    assert str(s).splitlines()[:3] == ["x (N, C)", "a: an integer, at least 1",
                                       "b: an integer or a pair (rows, columns), at least 0"]


def test_what_is_remembered_is_told_apart_by_type():
    s = Signature("x (N,)", options={"n": integer(1)}).of("f")
    assert s.check(X[0], 1) == s.check(X[0], np.int64(1)) == (1,)
    for other in (1.0, True):
        assert "must be an integer" in message(s, X[0], other)
    assert s.known.cache_info().maxsize == 512


def test_lists_are_looked_into_each_time():
    s = Signature("x (N,)", options={"p": pair(1)}).of("f")
    p = [1, 2]
    assert s.check(X[0], p) == ((1, 2),)
    p[0] = 3
    assert s.check(X[0], p) == ((3, 2),)
    assert s.known.cache_info().currsize == 0


def test_no_array_is_kept_alive_by_what_is_remembered():
    s = Signature("x (N, C)", "floating").of("f")
    x = np.zeros((2, 3))
    before = len(gc.get_referrers(x))
    s.check(x)
    assert len(gc.get_referrers(x)) == before


@pytest.mark.parametrize("shapes, dtypes", [
    ("x (N C)", ""), ("x N, C", ""), ("x (*a, *b)", ""), ("x (N,)", "float"),
    ("x (N,)", "y floating")])
def test_a_declaration_that_means_nothing_is_an_error(shapes, dtypes):
    s = Signature(shapes, dtypes)
    with pytest.raises(TypeError, match="what does|at most one star"):
        assert s.arguments and s.groups


def test_a_layer_settles_its_options_in_its_own_name():
    s = Signature("x (N,)", options={"k": pair(1), "s": pair(1, like="k")})
    assert s.settle("Layer", k=3, s=None) == [(3, 3), (3, 3)]
    with pytest.raises(ValueError, match="^Layer: k must be at least 1, got 0"):
        s.settle("Layer", k=0)
    with pytest.raises(ValueError, match="^Other: no"):
        Case("Other").refuse("no")
