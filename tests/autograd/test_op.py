"""The options of an op in every combination: small ops are built and called with everything that
their signature allows. What does not combine is refused at import.
"""
from __future__ import annotations

import itertools
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor
from minigrad.autograd.op import Op

# The arguments of y = 2 a + 3 b (+ option): their annotations, and which numbers come beside a.
SIGNATURES = {
    "a: Tensor": [()],
    "a: Tensor, b: Tensor": [("tensor",), ("array",), ("none of its dimensions",)],
    "a: Tensor, b: Tensor | float": [("tensor",), ("array",), (2.5,), (2,), (np.float64(2.5),)],
    "a: Tensor, b: Tensor | None = None": [(), (None,), ("tensor",), ("array",)],
    "a: Tensor, b: Tensor | float | None = None, *, option: float = 0.0":
        [(), (None,), ("tensor",), (2.5,)],
    "a: Tensor, /, *, b: Tensor | float = 1.5": [()],
    "a: Sequence[Tensor]": [()],
    "*a: Tensor, option: float = 0.0": [()],
}
DTYPES = [np.float32, np.float64, np.float16, np.int64]


def build(signature, promote=True, floating=False, moves=False, many=False, aux=False, rule="none",
          door=False, explain=False, **about):
    """The public function of an op that computes 2 a + 3 b."""
    names = [p.split(":")[0].split("=")[0].strip(" *") for p in signature.split(",")
             if p.strip() not in ("/", "*")]
    many_a = "Sequence" in signature or "*a" in signature
    given = ", ".join(names)
    body = ["total = sum([2 * x for x in a])" if many_a else "total = 2 * a",
            "if b is not None: total = total + 3 * b" if "b" in names else "",
            "total = total + option" if "option" in names else "",
            "y = (total, total * 2)" if many else "y = total",
            "return (y, 2.0)" if aux else "return y"]
    source = [f"def small({signature}) -> {'tuple[Tensor, Tensor]' if many else 'Tensor'}:",
              "    'A small op.'", *(f"    {line}" for line in body if line),
              f"def door({signature}):", f"    calls.append('door'); return {given},",
              f"def explain(op, error, {signature}):", "    return ValueError('explained')"]
    space = {"Tensor": Tensor, "Sequence": Sequence, "np": np, "calls": []}
    exec("from __future__ import annotations\n" * (len(names) % 2) + "\n".join(source), space)
    op = Op(space["small"], None, None, promote=promote, floating=floating, moves=moves,
            door=space["door"] if door else None, explain=space["explain"] if explain else None,
            **about)
    public = op.finish()
    together = (lambda g: (0.0 if g[0] is None else g[0]) + (0.0 if g[1] is None else g[1] * 2.0)
                ) if many else (lambda g: g)
    two = (lambda g, aux: together(g) * aux) if aux else (lambda g: together(g) * 2.0)
    linked = names[:1] + ["b"] * ("b" in names)
    if rule == "vjp" and many_a:
        public.vjp(a=(lambda g, aux, a: [two(g, aux)] * len(a)) if aux else
                   (lambda g, a: [two(g)] * len(a)))
    elif rule == "vjp":
        public.vjp(a=two, **({"b": lambda g: together(g) * 3.0} if "b" in names else {}))
    elif rule == "joint":
        def joint(g, needs):
            return [(two(g, 2.0) if aux else two(g)) if n == "a" else together(g) * 3.0
                    for n in linked]

        def joint_aux(g, needs, aux):
            return joint(g, needs)
        public.joint_vjp(*linked)(joint_aux if aux else joint)
    elif aux:                                      # somebody must ask for it
        return None
    return public


def beside(kind, dtype):
    """The second argument."""
    b = np.array([1.0, 2.0]).astype(dtype)
    return {"tensor": lambda: mg.tensor(b), "array": lambda: b,
            "none of its dimensions": lambda: mg.tensor(b[1])}.get(kind, lambda: kind)()


def expected(a, others, many_a, default_b):
    b = default_b
    for x in others:
        b = None if x is None else np.asarray(x.array if isinstance(x, Tensor) else x)
    total = 2.0 * a.astype(np.float64) * (2 if many_a else 1)
    return total if b is None else total + 3.0 * b


OPTIONS = [dict(zip(("promote", "floating", "moves", "many", "aux", "rule", "door", "explain"),
                    (*rest, i % 2 == 0, i % 3 == 0)))
           for i, rest in enumerate(itertools.product(
               (True, False, "operands"), (False, True), (False, True), (False, True),
               (False, True), ("none", "vjp", "joint")))]


@pytest.mark.parametrize("signature", SIGNATURES)
def test_every_combination_of_options(signature):
    many_a = "Sequence" in signature or "*a" in signature
    for options in OPTIONS:
        if many_a and options["rule"] == "joint":
            with pytest.raises(TypeError, match="the rule of a sequence is declared with vjp"):
                build(signature, **options)
            continue
        small = build(signature, **options)
        if small is None:
            continue
        for dtype, others in itertools.product(DTYPES, SIGNATURES[signature]):
            others = tuple(beside(kind, dtype) for kind in others)
            a = np.array([0.5, 4.0]).astype(dtype)
            t = mg.tensor(a, requires_grad=dtype is not np.int64)
            given = (*([[t, t]] if "Sequence" in signature else [t, t] if many_a else [t]), *others)
            want = expected(a, others, many_a, 1.5 if "= 1.5" in signature else None)
            y = small(*given)
            assert len(y) == 2 if options["many"] else isinstance(y, Tensor), (signature, options)
            if options["many"]:
                np.testing.assert_allclose(y[1].array, 2 * want)
                y = y[0]
            np.testing.assert_allclose(y.array, want)
            number = [x for x in others if isinstance(x, float)]
            floats = dtype is not np.int64 or options["floating"] or number or "1.5" in signature
            strong = any(type(x) is np.float64 for x in others)  # to NumPy; torch has no such thing
            if options["promote"] is True or (dtype in (np.float32, np.float64) and not strong):
                wanted = np.float32 if dtype is np.int64 and floats else dtype
                assert y.dtype == wanted or "option" in signature, (signature, options, dtype)
            recorded = options["rule"] != "none" and dtype is not np.int64
            assert y.requires_grad == recorded
            for graph in (False, True) if recorded else ():
                g, = mg.grad(y.sum(), t, create_graph=graph, retain_graph=True)
                assert g.dtype == dtype and g.tolist() == [4.0 if many_a else 2.0] * 2
            raw = ([[a, a]] if "Sequence" in signature else [a, a] if many_a else [a])
            got = small(*raw, *[x.array if isinstance(x, Tensor) else x for x in others])
            got = got[0] if options["many"] else got
            assert not isinstance(got, Tensor)
            np.testing.assert_allclose(got, want)


def test_the_door_and_the_explanation_are_called():
    signature = "a: Tensor, b: Tensor | float"
    for dtype in DTYPES:
        for floating in (False, True):
            small = build(signature, door=True, explain=True, floating=floating, rule="vjp")
            with pytest.raises(ValueError, match="explained"):
                small(mg.ones(2, dtype=dtype), mg.ones(3, dtype=dtype))
            with pytest.raises(TypeError, match="small: argument 'b' must be a Tensor, an array or "
                                                "a number, got str"):
                small(mg.ones(2, dtype=dtype), "2")


def test_logaddexp_as_a_newcomer_writes_it():
    """Numbers on either side, floating=True: generated code asked a float for its dtype."""
    from minigrad.face import UFUNCS
    from minigrad.autograd.op import OPS, op
    with patch.dict(OPS), patch.dict(UFUNCS):      # afterwards both are what they were
        @op(samples=lambda r: [(r(3, 4), r(3, 4)), (r(3, 4), r(4)), (r(3), 2.5), (-0.5, r(3))],
            ref=np.logaddexp, floating=True)
        def small_logaddexp(input: Tensor | float, other: Tensor | float) -> Tensor:
            """log(e^input + e^other)."""
            return np.logaddexp(input, other)
        small_logaddexp.vjp(input=lambda g, input, out: g * mg.exp(input - out),
                            other=lambda g, other, out: g * mg.exp(other - out))
    x = mg.tensor([0.5, -1.0, 30.0], requires_grad=True)
    for args in ((x, 2.5), (-0.5, x), (x, 2), (x, x), (x, np.float64(2.5))):
        y = small_logaddexp(*args)
        arrays = [a.detach().numpy() if isinstance(a, Tensor) else a for a in args]
        np.testing.assert_allclose(y.array, np.logaddexp(*arrays), rtol=1e-6)
        assert y.dtype == np.float32
        y.sum().backward()
    wide = x.detach().double().requires_grad_()
    for f in (lambda x: small_logaddexp(x, 2.5), lambda x: small_logaddexp(-0.5, x),
              lambda x: small_logaddexp(x, x * 2)):
        assert mg.gradcheck(f, wide) and mg.gradgradcheck(f, wide)
    whole = mg.tensor([1, 2])
    for args in ((whole, 2.5), (2, whole), (whole, whole), (whole, True)):
        y = small_logaddexp(*args)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.array, np.logaddexp(*[
            np.asarray(a.array if isinstance(a, Tensor) else a, np.float64) for a in args]),
            rtol=1e-6)
    assert small_logaddexp(1.0, 2.0) == np.logaddexp(1.0, 2.0)
    half = small_logaddexp(mg.tensor([60000.0], dtype=mg.float16), 60000)
    assert half.dtype == np.float16 and half.item() == 60000.0


def declare(signature, returns="Tensor", rules=None, joint=None, **about):
    space = {"Tensor": Tensor, "Sequence": Sequence, "np": np}
    exec(f"def small({signature}) -> {returns}:\n    'A small op.'\n    return 0", space)
    op = Op(space["small"], None, None, **about)
    public = op.finish()
    if rules:
        public.vjp(**rules)
    if joint:
        public.joint_vjp(*joint)(lambda g: (g,) * len(joint))


@pytest.mark.parametrize("args, about, message", [
    (("a: Tensor, **options",), {}, "name the options one by one"),
    (("a: Tensor",), {"promote": "always"}, "promote must be True, False or 'operands'"),
    (("a: Tensor, index: Tensor",), {"apart": ("idnex",)}, "apart names .'idnex'., which are no"),
    (("a: Tensor, b: Tensor",), {"waits": True}, "waits is for functions of one Tensor"),
    (("a: Tensor, slope: float = 0.1",), {"waits": True}, "without options"),
    (("a: Tensor | float",), {"waits": True}, "waits is for functions of one Tensor"),
    (("a: Tensor | None",), {"waits": True}, "waits is for functions of one Tensor"),
    (("a: Sequence[Tensor]",), {"waits": True}, "waits is for functions of one Tensor"),
    (("a: Tensor", "tuple[Tensor, Tensor]"), {"waits": True}, "waits is for functions of one"),
    (("a: Sequence[Tensor], b: Sequence[Tensor]",), {}, "at most one sequence of Tensors"),
    (("a: Sequence[Tensor], *b: Tensor",), {}, "at most one sequence of Tensors"),
    (("a: Sequence[Tensor] | None",), {}, "may be empty, but not None"),
    (("a: Tensor, want: float",), {}, "the public function itself needs .'want'."),
    (("a: Tensor, n0: float",), {}, "the public function itself needs .'n0'."),
    (("a: Sequence[Tensor], b: Tensor",), {"rules": {"b": lambda g: g}},
     "only the sequence has a gradient"),
    (("a: Sequence[Tensor], b: Tensor",), {"rules": {"a": lambda g: [g], "b": lambda g: g}},
     "only the sequence has a gradient"),
    (("*a: Tensor",), {"joint": ("a",)}, "the rule of a sequence is declared with vjp"),
    (("a: Tensor, index: Tensor",), {"rules": {"index": lambda g: g}, "apart": ("index",)},
     "'index'. are apart"),
    (("a: Tensor",), {"rules": {"b": lambda g: g}}, "'b' is not a tensor argument"),
    (("a: Tensor",), {"rules": {"a": lambda g, c: g}}, "asks for unknown .'c'."),
])
def test_what_does_not_combine_is_refused_at_import(args, about, message):
    with pytest.raises(TypeError, match=message):
        declare(*args, **about)


def test_annotations_may_be_text_or_types():
    """Without `from __future__ import annotations` they are types, whose text names the module."""
    def joined(xs: Sequence[Tensor], scale: Tensor | float = 1.0) -> Tensor:
        """All of them."""
        return np.concatenate(xs) * scale
    text = joined.__annotations__
    ops = [Op(joined, None, None)]
    joined.__annotations__ = {"xs": Sequence[Tensor], "scale": Tensor | float, "return": Tensor}
    ops.append(Op(joined, None, None))
    assert text["xs"] == "Sequence[Tensor]"
    for made in ops:
        assert made.sequence == "xs" and made.tensors == ["xs", "scale"]
        assert made.takes_number("scale") and not made.takes_number("xs")
        assert made.finish()([mg.ones(2), mg.ones(1)], 2.0).tolist() == [2.0, 2.0, 2.0]
