"""The operations that programs are drawn of, by family; each proposes one step for a Scope.

To add an operation: a line in one of the families. A family says nothing about the shape of a
result. Not here: how steps become programs (`draw.py`).
"""
from __future__ import annotations

import numpy as np

from .program import FLOATS, Step
from .scope import LARGE, Scope, Skip, family, kind, small


# --- new values ----------------------------------------------------------------------------------

@family(2)
def another_input(s: Scope) -> Step:
    """One more leaf."""
    dtype = s.pick(sorted(FLOATS)) if s.profile == "mixed" else s.dtype
    return s.new(s.make(s.sizes(), dtype, "", s.chance(0.6), s.layout()))


@family(1)
def made(s: Scope) -> Step:
    """zeros, arange, full_like, ..."""
    x = s.float(plain=True)
    n = s.size()
    return s.new(s.pick((
        f"torch.zeros({s.sizes()})", f"torch.ones({s.sizes()}, dtype={s.dtype})",
        f"torch.full({s.sizes()}, {s.pick((2, 1.5, True))})", f"torch.arange({n})",
        f"torch.arange({n}.)", f"torch.arange(0, {n}, 0.5)", f"torch.arange({n}, -2, -2)",
        f"torch.linspace(-1, 1, {n})", f"torch.eye({n}, {s.size()})", f"torch.zeros_like({x})",
        f"torch.ones_like({x}, dtype={s.pick(('int64', 'float64', 'bool'))})",
        f"torch.full_like({x}, 3)", f"torch.tensor({s.pick((3, 2.5, True, [1, 2], [[0.5], [2]]))})",
        f"torch.tensor([{x}.sum().item(), 1.0])")))


# --- elementwise ---------------------------------------------------------------------------------

UNARY = ("exp", "log", "sqrt", "rsqrt", "square", "reciprocal", "sin", "cos", "tan", "tanh",
         "sigmoid", "abs", "neg", "sign", "floor", "ceil", "round", "trunc", "frac", "expm1",
         "log1p", "exp2", "log2", "log10", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh",
         "atanh", "erf", "relu")
LAYERS = ("F.relu({})", "F.gelu({})", "F.silu({})", "F.softplus({})", "F.logsigmoid({})",
          "F.elu({})", "F.leaky_relu({}, 0.1)", "F.hardtanh({})", "F.relu6({})",
          "F.gelu({}, approximate='tanh')", "F.elu({}, 0.5)", "F.softplus({}, 2.0)",
          "F.dropout({}, 0.0)", "F.dropout({}, 0.5, training=False)", "F.hardtanh({}, -0.5, 0.5)",
          "nn.Tanh()({})", "nn.ReLU()({})")


@family(8, "plain half mixed sizes rows")
def unary(s: Scope) -> Step:
    """A function of one tensor."""
    x = s.float()
    if s.chance(0.06):
        x = s.some()
    f = s.pick(UNARY)
    if s.chance(0.5):                              # mostly where it is defined
        x = {"log": f"({x}.abs() + 0.5)", "sqrt": f"({x}.abs() + 0.25)",
             "rsqrt": f"({x}.abs() + 0.25)", "log2": f"({x}.square() + 0.5)",
             "log10": f"({x}.abs() + 1)", "log1p": f"{x}.abs()", "asin": f"({x} * 0.25)",
             "acos": f"({x}.tanh() * 0.5)", "atanh": f"({x}.sin() * 0.5)",
             "acosh": f"({x}.abs() + 1.5)", "reciprocal": f"({x}.square() + 0.5)"}.get(f, x)
    return s.new(f"torch.{f}({x})" if s.chance(0.5) or f.startswith("a") else f"{x}.{f}()")


@family(5)
def activation(s: Scope) -> Step:
    """An activation function."""
    return s.new(s.pick(LAYERS).format(s.float()))


@family(9)
def binary(s: Scope) -> Step:
    """Two operands: arithmetic with broadcasting and numbers."""
    x = s.float()
    if s.chance(0.12):
        x = s.some()
    y = s.other(s.shape(x), kind(s.get(x)) if kind(s.get(x)) in FLOATS else "")
    op = s.pick(("+", "-", "*", "*", "/", "+", "-", "%", "//", "**"))
    if op == "**":
        return s.new(f"{x} ** {s.pick((2, 3, 1, 0, 2.0, 0.5, -1, 4))}" if s.chance(0.6) else
                     f"({x}.abs() + 0.25) ** {y}" if s.chance(0.8) else f"2 ** {x}")
    if op in ("/", "//", "%") and s.chance(0.7):
        y = f"({y}.abs() + 0.5)" if y[0] in "vm" else "2.5"
    if s.chance(0.3):
        f = {"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "remainder",
             "//": "floor_divide"}[op]
        return s.new(f"{x}.{f}({y})")
    return s.new(f"{y} {op} {x}" if s.chance(0.25) else f"{x} {op} {y}")


@family(4)
def two_or_three(s: Scope) -> Step:
    """maximum, where, clamp, atan2, comparisons, logic."""
    x = s.float()
    shape = s.shape(x)
    y = s.make(s.fits(shape), kind(s.get(x))) if s.chance(0.4) else s.other(shape)
    t = y if y[0] in "vm" else f"torch.tensor({y})"
    a = s.pick(("None", "-0.5", "0", "-1"))
    return s.new(s.pick((
        f"torch.maximum({x}, {t})", f"torch.minimum({x}, {t})", f"torch.atan2({x}, {t})",
        f"torch.where({x} > {y}, {x}, {y})", f"torch.where({x} > 0, {x}, {t})",
        f"torch.where({x} < {y}, 0.0, {x})", f"{x}.clamp({a}, 1)", f"{x}.clamp(min=0.25)",
        f"{x}.clamp(max={y})" if y[0] not in "vm" else f"{x}.clamp(-1, 1)",
        f"{x} > {y}", f"{x} == {y}", f"{x} <= {y}", f"{x} != {y}", f"({x} > 0) & ({x} < 1)",
        f"({x} > 0) | ({t} > 0)", f"~({x} > 0)", f"torch.logical_xor({x}, {t})",
        f"{x}.masked_fill({x} > 0.5, {s.pick((0, -1.5, 2))})", f"torch.isfinite({x})",
        f"{x}.masked_fill({x}.detach() < 0, 1)", f"torch.round({x}, decimals=1)")))


@family(2)
def cast(s: Scope) -> Step:
    """To another dtype."""
    x = s.some()
    d = s.pick(("float32", "float64", "float16", "float32", "float64", "int64", "bool", "int32"))
    if not d.startswith("float") and not (kind(s.get(x)) not in FLOATS or s.chance(0.3)):
        d = "float64"
    y = s.some()
    return s.new(s.pick((f"{x}.to({d})", f"{x}.type({d})", f"{x}.to({d}, copy=True)",
                         f"{x}.type_as({y})", f"{x}.to(dtype={d})")))


# --- reductions, norms, scans, order -------------------------------------------------------------

@family(9)
def reduction(s: Scope) -> Step:
    """sum, mean, var, max, norm, ... along dims."""
    x = s.float()
    if s.chance(0.07):
        x = s.some()
    n = len(s.shape(x))
    f = s.pick(("sum", "sum", "mean", "var", "std", "amax", "amin", "logsumexp", "prod", "norm",
                "all", "any", "argmax", "argmin", "max", "min", "sum", "mean"))
    keep = s.pick(("", "", ", keepdim=True"))
    dims = s.dims(n)
    if f in ("amax", "amin"):
        dims = "()" if dims == "None" else dims
    if f == "logsumexp" and dims == "None":
        dims = str(tuple(range(n)))
    if f == "norm":
        p = s.pick((2, 2, 1, 2.0, 3, "float('inf')", 0, 0.5, -1, "'fro'"))
        if p == "'fro'" and n != 2:
            p = 2
        return s.new(f"{x}.norm(p={p}, dim={dims}{keep})")
    if f in ("var", "std"):
        if any("'tenth'" in step.text for step in s.steps):
            raise Skip                             # of equal numbers: roundings decide the slope
        dims = "None" if dims == "()" else dims    # torch's derivative is infinite there
        keep += s.pick(("", ", correction=0", ", correction=2", ", unbiased=False"))
        return s.new(f"torch.{f}({x}, dim={dims}{keep})")
    if f in ("prod", "argmax", "argmin", "all", "any", "max", "min"):
        if dims == "None" or s.chance(0.2):
            return s.new(f"{x}.{f}()")
        if dims[0] == "(" and f not in ("all", "any"):
            dims = str(s.dim(n))
        if f in ("max", "min"):
            return s.new(f"{x}.{f}({dims}{keep})", n=2)
        return s.new(f"{x}.{f}(dim={dims}{keep})")
    if dims == "None" and not keep and s.chance(0.7):
        return s.new(f"{x}.{f}()")
    more = f", dtype={s.pick(('float32', 'float64'))}" if f in ("sum", "mean") and s.chance(0.1) \
        else ""
    return s.new(f"torch.{f}({x}, dim={dims}{keep}{more})")


@family(4)
def softmaxes(s: Scope) -> Step:
    """softmax, log_softmax, cumsum along one dim."""
    x = s.float()
    d = s.dim(len(s.shape(x)))
    return s.new(s.pick((f"F.softmax({x}, dim={d})", f"F.log_softmax({x}, dim={d})",
                         f"{x}.softmax({d})", f"torch.cumsum({x}, {d})", f"{x}.logsumexp({d})",
                         f"{x}.cumsum(dim={d})")))


@family(4)
def order(s: Scope) -> Step:
    """sort, topk, argsort; without ties, about which torch promises nothing."""
    x = s.float(lambda x: x.numel() <= 70_000)
    shape = s.shape(x)
    d = s.dim(len(shape))
    down = s.pick(("", ", descending=True"))
    f = s.pick(("sort", "topk", "argsort", "sort", "topk"))
    if f == "argsort":
        return s.new(f"torch.argsort({x}, dim={d}{down}, stable=True)")
    if f == "sort":
        return s.new(f"torch.sort({x}, dim={d}{down}, stable=True)", n=2)
    a = s.get(x).detach().numpy()
    if a.size != np.unique(a).size:
        raise Skip
    n = shape[d] if shape and -len(shape) <= d < len(shape) else 1
    k = s.rng.randint(0 if shape else 1, n) if s.chance(0.9) else n + 1
    return s.new(f"torch.topk({x}, {k}, dim={d}{s.pick(('', ', largest=False'))})", n=2)


# --- views and joins -----------------------------------------------------------------------------

@family(9)
def view(s: Scope) -> Step:
    """A view along whole dimensions."""
    x = s.float(plain=True) if s.chance(0.93) else s.some()
    shape = s.shape(x)
    n = len(shape)
    d, e = s.dim(n), s.dim(n)
    size = int(np.prod(shape))
    order = s.rng.sample(range(n), n)
    length = shape[d] if n and -n <= d < n else 1
    start = s.rng.randint(0, max(length, 0))
    shapes = [(-1,), (size,), (1, *shape), (*shape, 1), shape[::-1], (*shape[:1], -1),
              (1, -1) if size else (0,)]
    front = s.pick((s.size(), 1, 2))
    grown = (front, *[4 if m == 1 and s.chance(0.5) else -1 if s.chance(0.3) else m for m in shape])
    options = (
        f"{x}.reshape({s.pick(shapes)})", f"{x}.view({s.pick(shapes)})", f"{x}.T" if n == 2 else
        f"{x}.permute({tuple(order)})", f"{x}.permute({tuple([o - n for o in order])})",
        f"{x}.transpose({d}, {e})", f"{x}.expand({grown})", f"{x}.unsqueeze({d})",
        f"{x}.squeeze({d})", f"{x}.squeeze()", f"{x}.flatten()", f"{x}.flatten({d})",
        f"{x}.narrow({d}, {start}, {s.rng.randint(0, max(0, length - start))})",
        f"{x}.select({d}, {s.rng.randint(-max(1, length), max(0, length - 1))})",
        f"torch.movedim({x}, {d}, {e})", f"{x}.mT", f"{x}.contiguous()", f"{x}.detach()",
        f"{x}.unflatten({d}, ({s.pick((1, 2, 3))}, -1))",
        f"{x}.diagonal({s.pick((0, 1, -1))}, {d}, {e})",
        f"torch.broadcast_to({x}, {grown})", f"{x}.swapaxes({d}, {e})")
    return s.new(s.pick(options), "view")


@family(3)
def pieces(s: Scope) -> Step:
    """split, chunk, unbind: several views at once."""
    x = s.float(lambda x: x.ndim > 0, plain=True)
    shape = s.shape(x)
    d = s.rng.randrange(-len(shape), len(shape))
    f = s.pick(("split", "chunk", "unbind", "sections", "meshgrid"))
    if f == "meshgrid":
        y = s.float(lambda x: x.ndim <= 1 and x.numel() < 30, plain=True)
        return s.new(f"torch.meshgrid({y}, {y}, indexing={s.pick(('ij', 'xy'))!r})", "view", 2)
    if f == "sections":
        cut = s.rng.randint(0, shape[d])
        return s.new(f"torch.split({x}, [{cut}, {shape[d] - cut}], dim={d})", "view", 2)
    arg = s.rng.randint(1, max(1, shape[d]))
    call = f"torch.unbind({x}, {d})" if f == "unbind" else f"torch.{f}({x}, {arg}, dim={d})"
    n = len(s.get(call))
    if not 1 <= n <= 5:
        raise Skip
    return Step(f"{s.fresh(n)}{',' if n == 1 else ''} = {call}", "view")


@family(4)
def copies(s: Scope) -> Step:
    """flip, roll, repeat, tril, pad, ...: rearranged copies."""
    x = s.float(small)
    shape = s.shape(x)
    n = len(shape)
    d = s.dim(n)
    dims = s.dims(n)
    dims = "()" if dims == "None" else dims if dims[0] == "(" else f"({dims},)"
    pads = [s.rng.randint(-1 if s.chance(0.3) else 0, 2) for _ in range(2 * s.rng.randint(0, n))]
    return s.new(s.pick((
        f"{x}.flip({dims})", f"torch.flip({x}, {dims})",
        f"torch.roll({x}, {s.pick((1, -2, 5))}, {d})",
        f"torch.roll({x}, {s.pick((1, -2))})", f"{x}.repeat({(s.pick((1, 2)),) * max(n, 1)})",
        f"{x}.repeat({(2, 1, *(1,) * n)})",
        f"torch.tile({x}, {s.pick(((2,), (1, 2), (), (2, 1, 2)))})",
        f"torch.tril({x}, {s.pick((0, 1, -1))})", f"{x}.triu()", f"{x}.clone()",
        f"torch.repeat_interleave({x}, {s.pick((0, 1, 2, 3))}, dim={d})",
        f"torch.repeat_interleave({x}, 2)", f"F.pad({x}, {tuple(pads)})",
        f"F.pad({x}, {tuple(pads)}, value=1.5)", f"torch.diag({x}[:9])",
        f"{x}[:9].diag({s.pick((1, -1))})", f"torch.trace({x})")))


@family(4)
def join(s: Scope) -> Step:
    """cat and stack."""
    x = s.float(small)
    shape = s.shape(x)
    d = s.dim(len(shape))
    y = s.make(shape, kind(s.get(x)) if s.chance(0.8) else "")
    if s.chance(0.5):
        y = s.some(lambda t: tuple(t.shape) == shape and (kind(t) in FLOATS or s.chance(0.2)))
    f = s.pick(("cat", "stack", "cat"))
    return s.new(f"torch.{f}([{x}, {y}{s.pick(('', f', {x}'))}], dim={d})")


# --- indexing ------------------------------------------------------------------------------------

def index_of(s: Scope, shape: tuple[int, ...], basic: bool = False) -> str:
    """An index for a tensor of this shape, of all kinds; basic: such that x[index] is a view."""
    parts: list[str] = []
    d, count = 0, len(shape)
    dots = False
    rows = s.size() or 1                           # index tensors broadcast with one another
    while d < count and len(parts) < 5:
        r = s.rng.random()
        n = shape[d]
        if r < 0.25 and n:
            parts.append(str(s.rng.randrange(-n, n)))
        elif r < 0.5:
            a, b = s.rng.randint(-n, n), s.rng.randint(-n, n)
            parts.append(s.pick((f"{a}:", f":{b}", ":", "::2", f"{min(a, b)}:{max(a, b)}", ":")))
        elif r < 0.58:
            parts.append("None")
            continue
        elif r < 0.66 and not dots:
            dots = True
            parts.append("...")
            d += s.rng.randint(0, count - d)
            continue
        elif basic or not n:
            parts.append(":")
        elif r < 0.78:
            size = s.pick(((rows,), (1,), (), (2, rows), (rows,)))
            parts.append(s.make(size, s.pick(("int64", "int64", "int32")), f"about {n}"))
        elif r < 0.86:
            size = rows if s.chance(0.6) else s.rng.randint(1, 3)
            parts.append(str([s.rng.randrange(-n, n) for _ in range(size)]))
        elif r < 0.95:
            m = s.pick((1, 1, 2)) if d + 1 < count else 1
            parts.append(s.make(shape[d:d + m], "bool", "mask"))
            d += m
            continue
        else:
            parts.append(":")
        d += 1
        if s.chance(0.35):
            break
    if not parts or (s.chance(0.03)):
        parts = [s.pick(("...", "()", "None", str(shape[0] if shape else 0)))]
        return parts[0]
    return ", ".join(parts)


@family(9)
def indexing(s: Scope) -> Step:
    """x[index]."""
    x = s.float(plain=True)
    basic = s.chance(0.45)
    step = s.new(f"{x}[{index_of(s, s.shape(x), basic)}]", "view" if basic else "")
    if basic:
        s.parents[min(step.makes)] = x
    return step


@family(5)
def gathering(s: Scope) -> Step:
    """gather, scatter, index_select, ..."""
    x = s.float(small)
    shape = s.shape(x)
    n = len(shape)
    d = s.rng.randrange(-max(n, 1), max(n, 1))
    length = shape[d] if n else 1
    if not length:
        raise Skip
    at = tuple([s.rng.randint(0, m) if i != d % n else s.rng.randint(0, 5)
                for i, m in enumerate(shape)]) if n else s.pick(((), (2,)))
    index = s.make(at, "int64", f"below {length}")
    k = s.rng.randint(0, 4)
    flat = s.make((k,) if n or s.chance(0.7) else (), s.pick(("int64", "int64", "int32")),
                  f"below {length}")
    rows = tuple([k if i == d % n else m for i, m in enumerate(shape)]) if n else (k,)
    dtype = kind(s.get(x))
    apart = str(list(s.rng.sample(range(length), min(length, k))))
    spread = tuple([min(k, length) if i == d % n else 1 for i in range(n)])
    whole = tuple([min(k, length) if i == d % n else m for i, m in enumerate(shape)])
    unique = f"torch.tensor({apart}, dtype=int64).reshape({spread}).expand({whole}).clone()"
    return s.new(s.pick((
        f"torch.gather({x}, {d}, {index})", f"{x}.gather({d}, {index})",
        f"torch.index_select({x}, {d}, {flat})", f"{x}.index_select({d}, {flat})",
        f"torch.take_along_dim({x}, {x}.argsort(dim={d}, stable=True), dim={d})",
        f"{x}.scatter({d}, {unique}, {s.make(whole, dtype)})",
        f"{x}.scatter({d}, {unique}, {s.pick((1.5, 0))})",
        f"{x}.scatter_add({d}, {index}, {s.make(at, dtype, grad=s.chance(0.5))})",
        f"{x}.index_add({d}, {flat}, {s.make(rows, dtype)})",
        f"{x}.index_add({d}, {flat}, {s.make(rows, dtype)}, alpha=2)",
        f"torch.masked_select({x}, {s.make(s.fits(shape), 'bool', 'mask')})",
        f"torch.nonzero({x} > 0)", f"{x}.masked_fill({s.make(s.fits(shape), 'bool', 'mask')}, 0.5)",
        f"F.one_hot({s.make(s.sizes(1), 'int64', 'below 4')}, 4)")))


# --- writes --------------------------------------------------------------------------------------

@family(5)
def write_in_place(s: Scope) -> Step:
    """x.mul_(...), x += ..., recorded or under no_grad."""
    x = s.float(lambda x: x.numel() > 0 or s.chance(0.3), plain=True)
    shape = s.shape(x)
    y = s.other(shape, kind(s.get(x)))
    t = y if y[0] in "vm" else f"torch.tensor({float(eval(y))}, dtype={kind(s.get(x))})"
    text = s.pick((
        f"{x} += {y}", f"{x} -= {y}", f"{x} *= {y}", f"{x}.mul_({y})", f"{x}.add_({y})",
        f"{x}.add_({y}, alpha=2)", f"{x}.sub_({t}, alpha=0.5)", f"{x}.copy_({t})", f"{x}.zero_()",
        f"{x}.fill_({s.pick((2, 1.5))})", f"{x}.clamp_(-0.5, 0.5)", f"{x}.neg_()", f"{x}.relu_()",
        f"{x}.tanh_()", f"{x}.sigmoid_()", f"{x}.exp_()", f"{x}.abs_()", f"{x}.sin_()",
        f"{x}.masked_fill_({s.make(s.fits(shape), 'bool', 'mask')}, 2)", f"{x}.square_()",
        f"{x}.addcmul_({t}, {t}, value=0.5)", f"{x}.tril_()", f"{x}.div_(2)", f"{x} /= 4",
        f"F.relu({x}, inplace=True)", f"{x}.detach().mul_(2)", f"F.elu({x}, inplace=True)",
        f"nn.LeakyReLU(0.5, inplace=True)({x})", f"F.relu6({x}, inplace=True)"))
    return _write(s, x, y, text)


@family(5)
def write_at(s: Scope) -> Step:
    """x[index] = y and x[index] += y."""
    x = s.float(lambda x: x.ndim > 0, plain=True)
    shape = s.shape(x)
    op = s.pick(("=", "=", "=", "+=", "*="))
    index = index_of(s, shape, s.chance(0.6))
    target = s.shape(f"{x}[{index}]")
    y = s.other(target, kind(s.get(x)))
    if y.startswith("make") and s.chance(0.4):
        y = y[:-1].replace(", grad=True", "") + ", grad=True)"
    if "make(" in index or "[" in index:           # which of several writes to one place stays?
        place = s.get(f"np.arange({int(np.prod(shape))}).reshape({shape})["
                      f"{index_as_arrays(index)}]")
        if np.size(place) != np.unique(place).size:
            raise Skip
    return _write(s, x, y, f"{x}[{index}] {op} {y}")


def index_as_arrays(index: str) -> str:
    """The index for a NumPy array."""
    return index.replace("make(", "_as_array(make)(")


COPIES = ("{}.clone()", "{}.flip(0)", "{}.flip(-1)", "{}.repeat(2, 1)", "torch.tile({}, (2, 1, 1))",
          "torch.cat([{}])", "torch.stack([{}])", "torch.roll({}, 0)", "{}.to({}.dtype, copy=True)",
          "F.pad({}, (0, 0))", "torch.tril({})", "{}[[0]]", "{}[{} == {}]", "{}.clamp(-9, 9)",
          "torch.where({} == {}, {}, {})", "torch.repeat_interleave({}, 1)", "{} * 1", "{} + 0",
          "torch.sort({}, stable=True)[0]", "{}.amax(())", "{}.sum(-1)", "{}.sum(0, keepdim=True)",
          "{}.cumsum(0)", "F.relu({})", "F.max_pool2d({}, 1)", "F.avg_pool2d({}, 1)", "{}.abs()",
          "{}.masked_fill({} != {}, 1)", "{}.index_select(0, torch.tensor([0]))",
          "torch.diag({}[:9])", "{}.mean(0)", "{}.prod(0)", "{}.round()", "{} ** 1",
          "{}.gather(0, {}.argsort(0))", "torch.tensor({}.tolist())", "{}.norm(dim=0)",
          "torch.meshgrid({}[:9], {}[:9])[0].clone()")


@family(3)
def copy_then_write(s: Scope) -> Step:
    """A result that is no view, then a write into what it was made of, or into the result."""
    x = s.float(small, plain=True)
    copy = s.new(s.pick(COPIES).replace("{}", x))
    if not s.take(copy):
        raise Skip
    target = s.pick((x, min(copy.makes)))
    if target not in s.values() or (s.hooked and s.is_view(target)):
        raise Skip
    text = s.pick(("{}.mul_(2)", "{}.zero_()", "{} += 1", "{}[...] = 3")).format(target)
    return Step(f"with torch.no_grad(): {text}", "write")


@family(2)
def write_rows(s: Scope) -> Step:
    """index_add_, scatter_add_ in place."""
    x = s.float(lambda x: x.ndim > 0 and 0 < x.numel() <= LARGE, plain=True)
    shape = s.shape(x)
    d = s.rng.randrange(len(shape))
    k = s.rng.randint(0, 4)
    rows = tuple([k if i == d else m for i, m in enumerate(shape)])
    y = s.make(rows, kind(s.get(x)), grad=s.chance(0.4))
    flat = s.make((k,), "int64", f"below {shape[d]}")
    index = s.make(rows, "int64", f"below {shape[d]}")
    return _write(s, x, y, s.pick((f"{x}.index_add_({d}, {flat}, {y})",
                                   f"{x}.scatter_add_({d}, {index}, {y})")))


def _write(s: Scope, x: str, y: str, text: str) -> Step:
    recorded = s.chance(0.6)
    values = s.values()
    if any(x in step.makes for step in s.steps if step.tag == "walk"):
        raise Skip                                 # what grad() returns may share memory in torch
    if s.hooked and any(s.is_view(n) and s.share(v, values[x]) for n, v in values.items()):
        raise Skip                                 # torch makes such views anew, without hooks
    if recorded:
        grads = any(values[u].requires_grad for u in Step(text).uses if u in values) or \
            "grad=True" in text
        if grads and not _alone(s, x):
            raise Skip
        return Step(text, "write")
    return Step(f"with torch.no_grad(): {text}", "write")


def _unshared(s: Scope, x: str) -> bool:
    """Whether no other value shares the memory: in torch, views require what their base does."""
    values = s.values()
    return not any(n != x and s.share(v, values[x]) for n, v in values.items())


def _alone(s: Scope, x: str) -> bool:
    """Whether no other view of x was taken before: README says that such a one keeps its numbers,
    once a write is recorded. A row x[i] and its x do not count."""
    values = s.values()
    above, at = {x}, x
    while at in s.parents:
        at = s.parents[at]
        above.add(at)
    return not any(n not in above and s.share(v, values[x]) for n, v in values.items())


# --- matrices ------------------------------------------------------------------------------------

@family(7)
def matrices(s: Scope) -> Step:
    """matmul in all its shapes, linear, bmm, dot, outer."""
    x = s.float(lambda x: x.ndim > 0 and x.numel() <= 1 << 21)
    shape = s.shape(x)
    dtype = kind(s.get(x))
    k, m = shape[-1], s.size()
    if k * m > 1 << 17:
        m = 2
    grad = s.chance(0.6)
    mat = s.make((k, m), dtype, "normal", grad, s.pick(("", "", "transposed", "stepped")))
    w = s.make((m, k), dtype, "normal", grad)
    b = s.make((m,), dtype, "normal", grad)
    options = [f"{x} @ {mat}", f"torch.matmul({x}, {mat})", f"F.linear({x}, {w})",
               f"F.linear({x}, {w}, {b})", f"{x} @ {s.make((k,), dtype, 'normal', grad)}",
               f"{s.make((2, k), dtype, 'normal', grad)} @ {x}.mT" if len(shape) > 1 else
               f"torch.dot({x}, {s.make(shape, dtype)})",
               f"torch.outer({x}.flatten()[:9], {b})",
               f"{mat}.T @ {x}" if len(shape) == 1 else
               f"{x}.mT @ {x}" if k <= 1 << 10 else f"{x} @ {x}.mT"]
    if len(shape) == 3:
        options += [f"torch.bmm({x}, {s.make((shape[0], k, m), dtype, 'normal', grad)})",
                    f"torch.matmul({x}, {s.make((1, k, m), dtype, 'normal', grad)})"] * 2
    if len(shape) == 2:
        options += [f"torch.mm({x}, {mat})", f"{x} @ {s.make((2, k, m), dtype, 'normal', grad)}"]
    return s.new(s.pick(options))


# --- layers --------------------------------------------------------------------------------------

@family(3, "plain half mixed image")
def convolution(s: Scope) -> Step:
    """conv2d with stride, padding, dilation, groups."""
    x = s.float(lambda x: x.ndim == 4 and 0 < x.numel() <= 1 << 18)
    c = s.shape(x)[1]
    dtype = kind(s.get(x))
    groups = s.pick([g for g in range(1, c + 1) if c % g == 0])
    f = groups * s.pick((1, 1, 2, 3, 8))
    kh, kw = s.pick((1, 2, 3, 3, 5)), s.pick((1, 2, 3, 3, 5))
    if s.chance(0.6):
        kw = kh
    pad = s.pick((0, 0, 1, 1, 2, (1, 0), "'same'", "'valid'"))
    stride = s.pick((1, 1, 1, 2, 3, (1, 2))) if pad != "'same'" else 1
    weight = s.make((f, c // groups, kh, kw), dtype, "normal", s.chance(0.8),
                    s.pick(("", "", "", "transposed", "flipped")))
    bias = s.make((f,), dtype, "normal", s.chance(0.8)) if s.chance(0.5) else "None"
    return s.new(f"F.conv2d({x}, {weight}, {bias}, stride={stride}, padding={pad}, "
                 f"dilation={s.pick((1, 1, 1, 2))}, groups={groups})")


@family(4, "plain half mixed image")
def pooling(s: Scope) -> Step:
    """max_pool2d and avg_pool2d, often of a relu: large ones run as one operation."""
    x = s.float(lambda x: x.ndim == 4 or (x.ndim == 3 and s.chance(0.5)))
    if s.chance(0.4):
        x = f"F.relu({x})"
    k = s.pick((2, 2, 2, 3, 1, (2, 3), (3, 1), 5))
    more = s.pick(("", "", "", ", stride=1", ", stride=2", ", stride=(2, 1)", ", stride=3"))
    half = (k if isinstance(k, int) else min(k)) // 2
    more += f", padding={half}" if half and s.chance(0.35) else ""
    more += ", ceil_mode=True" if s.chance(0.25) else ""
    if s.chance(0.35):
        more += s.pick(("", "", ", count_include_pad=False", ", divisor_override=3"))
        return s.new(f"F.avg_pool2d({x}, {k}{more})")
    if s.chance(0.1):
        more += ", dilation=2"                     # no indices: a window may hold padding only
    elif s.chance(0.1):
        return s.new(f"F.max_pool2d({x}, {k}{more}, return_indices=True)", n=2)
    return s.new(f"F.max_pool2d({x}, {k}{more})")


@family(2, "image")
def network(s: Scope) -> Step:
    """A Sequential of a convolution, relu and pooling."""
    x = s.float(lambda x: x.ndim == 4 and 0 < x.numel() <= 1 << 17, plain=True)
    c = s.shape(x)[1]
    f = s.pick((1, 2, 4, 8))
    pad = s.pick((0, 1, 2))
    m = s.fresh(1, "m")
    s.take(Step(f"{m} = set_parameters(nn.Sequential(nn.Conv2d({c}, {f}, {s.pick((1, 3, 5))}, "
                f"padding={pad}), nn.ReLU(), nn.MaxPool2d({s.pick((2, 3))}{s.pick(('', ', 1'))})), "
                f"{kind(s.get(x))}, {s.seed()})"))
    return s.new(f"{m}({x})")


@family(1.5, "plain half mixed sizes")
def recurrent(s: Scope) -> Step:
    """nn.RNN and nn.RNNCell."""
    x = s.float(lambda x: 2 <= x.ndim <= 3 and 0 < x.numel() <= 1 << 14 and x.shape[-1] <= 64,
                plain=True)
    n, d = len(s.shape(x)), s.shape(x)[-1]
    h = s.pick((1, 2, 4, 5))
    f = s.pick(("", ", nonlinearity='relu'"))
    m = s.fresh(1, "m")
    dtype, seed = kind(s.get(x)), s.seed()
    if n == 2 and s.chance(0.5):
        s.take(Step(f"{m} = set_parameters(nn.RNNCell({d}, {h}{f}), {dtype}, {seed})"))
        return s.new(f"{m}({x})")
    f += s.pick(("", ", num_layers=2", ", bidirectional=True", ", bias=False"))
    f += s.pick(("", ", batch_first=True"))
    part = s.pick((0, 1))                          # not both: in torch, h_n is no part of output
    s.take(Step(f"{m} = set_parameters(nn.RNN({d}, {h}{f}), {dtype}, {seed})"))
    return s.new(f"{m}({x})[{part}]")


@family(4, "plain half mixed sizes")
def losses(s: Scope) -> Step:
    """The losses."""
    x = s.float()
    shape = s.shape(x)
    dtype = kind(s.get(x))
    r = f", reduction={s.pick(('mean', 'sum', 'none'))!r}" if s.chance(0.5) else ""
    y = s.make(shape, dtype, "normal", s.chance(0.3))
    p = s.make(shape, dtype, "unit")
    c = shape[1] if len(shape) > 1 else shape[0] if shape else 1
    labels = s.make((shape[0], *shape[2:]) if len(shape) > 1 else (), "int64", f"below {c}")
    weight = f", weight={s.make((c,), dtype, 'positive')}" if s.chance(0.2) else ""
    weights = s.make(shape[-1:], dtype, "positive")
    more = s.pick(("", "", ", label_smoothing=0.1", ", ignore_index=1"))
    return s.new(s.pick((
        f"F.mse_loss({x}, {y}{r})", f"F.l1_loss({x}, {y}{r})", f"F.smooth_l1_loss({x}, {y}{r})",
        f"F.smooth_l1_loss({x}, {y}{r}, beta=0.5)", f"F.huber_loss({x}, {y}{r}, delta=0.5)",
        f"F.binary_cross_entropy_with_logits({x}, {p}{r})",
        f"F.binary_cross_entropy_with_logits({x}, {p}{r}, pos_weight={weights})",
        f"F.binary_cross_entropy(torch.sigmoid({x}), {p}{r})",
        f"F.kl_div(F.log_softmax({x}, dim=-1), {p}{r})",
        f"F.kl_div({x}, {y}{r}, log_target=True)",
        f"F.cross_entropy({x}, {labels}{weight}{r}{more})",
        f"F.cross_entropy({x}, F.softmax({y}, dim={1 if len(shape) > 1 else 0}){r})",
        f"F.nll_loss(F.log_softmax({x}, dim={1 if len(shape) > 1 else 0}), {labels}{weight}{r})")))


# --- the graph -----------------------------------------------------------------------------------

@family(5)
def hook(s: Scope) -> Step:
    """register_hook: it listens, or it changes the gradient; some are removed again."""
    if s.handles and s.chance(0.4):
        return Step(f"{s.handles.pop()}.remove()", "hook")
    x = s.some(lambda x: x.requires_grad)
    if s.is_view(x) and any(step.tag == "write" for step in s.steps):
        raise Skip                                 # torch 2.13 may crash at a rewritten view
    s.hooked = True
    h = s.fresh(1, "h")
    change = s.pick(("", "", ", lambda g: g * 2", ", lambda g: -g", ", lambda g: g.clamp(-1, 1)",
                     ", lambda g: torch.zeros_like(g)", ", lambda g: g + 1"))
    s.handles.append(h)
    return Step(f"{h} = {x}.register_hook(log({h!r}{change}))", "hook")


@family(3)
def retain(s: Scope) -> Step:
    """retain_grad."""
    x = s.some(lambda x: x.requires_grad)
    if s.is_view(x) and any(step.tag == "write" for step in s.steps):
        raise Skip
    s.hooked = True
    return Step(f"{x}.retain_grad()")


@family(1.5)
def leaves(s: Scope) -> Step:
    """detach, requires_grad_ on what was made, no_grad, item."""
    x = s.float(plain=True)
    return s.pick((
        lambda: s.new(f"{x}.detach().clone().requires_grad_()"),
        lambda: Step(f"{x}.requires_grad_()") if _unshared(s, x) else s.new(f"{x} + 1"),
        lambda: Step(f"with torch.no_grad(): {s.fresh()} = {x} * 3"),
        lambda: s.new(f"{x}.sum().item()"),
        lambda: s.new(f"{x}.detach().numpy().sum().item()"),
        lambda: Step(f"del {x}"),
        lambda: Step(f"with torch.no_grad(): {s.fresh()} = torch.relu({x}).sum()")))()


@family(1)
def walk_in_between(s: Scope) -> Step:
    """backward in the middle of the program."""
    x = s.some(lambda x: x.requires_grad and not x.is_leaf)
    return Step(f"{x}.sum().backward({retained(s).lstrip(', ')})", "walk")


def retained(s: Scope) -> str:
    """How a walk leaves the graph, as a further argument."""
    return s.rng.choices(("", ", retain_graph=True", ", create_graph=True"), (60, 32, 8))[0]
