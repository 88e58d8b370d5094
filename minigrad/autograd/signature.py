"""What an operation takes, declared in one place beside it: shapes, dtypes and options.

    @op(..., takes=Signature(
        "input (N?, C, H, W); weight (F, C/groups, KH>0, KW>0); bias (F,)? -> (N?, F, OH, OW)",
        dtypes="floating", options={"stride": pair(1), "groups": divides("F")}))

From it come the check (looked up by shapes, dtypes and options that were seen before, as they are
in each step of a training: 0.3 us), the error with the arithmetic, and the line of shapes that the
docstring shows (a test compares them). What is special about an operation, such as images whose
channels come last, is a small function of its own: `advice`.

The language of shapes:
    input, target (N, C)    two arguments of this shape; a letter is one size, wherever it stands
    (N, C, H, W) | (C, H, W)    forms of different rank: all arguments that have forms take the
                            first, or all the second, and so on
    (N?, C, H, W)           the same, shorter: with N and without it
    (F,)?                   the argument may be None
    C/groups                the size times the option is C
    T>0                     at least one
    *d                      any number of dimensions d1, d2, ..., the same for all arguments
    ~*d                     what broadcasts to these
    ...                     any dimensions; nobody compares them
    -> (N, F)               the result: for the reader, it is not checked

The language of dtypes: "floating" (all arguments are of one floating dtype), or one by one:
"input floating; target integer". Arguments that stand together agree with each other.

Two other ways were tried. Shapes as annotations (jaxtyping's Float[Tensor, "N C H W"]) scatter over
the parameters what belongs together and cannot speak of options. A validator that is generated for
each operation as a chain of comparisons is as fast as the lookup for linear (0.27 us against 0.24),
and slower the more arguments there are.

Not here: what only numbers show (labels out of range), which the operation looks at itself; NumPy's
own errors of broadcasting (`explain`).
"""
from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from .engine import Tensor
from .options import Case, Option, Shape, sizes
from .shapes import Dim, Form, forms_of
from ..foreign import got

_ARGUMENT = r"([\w, ]+?) (\(.*\))(\?)?"            # input, target (N, C)?


class _Fact:
    """That an argument says what a letter is: size, and how it was computed."""

    def __init__(self, argument: str, size: int, how: str) -> None:
        self.argument, self.size, self.how = argument, size, how


# --- the declaration -----------------------------------------------------------------------------

_KINDS = {"floating": "f", "integer": "iu"}
Advice = Callable[[Case], str]


class Signature:
    """The declaration of an operation's arguments; see the text above.

    shapes, dtypes: in their languages. options: what each may be, checked in this order, so that
        one may look at those before it.
    then: called at the end with the Case; refuses what only all of it shows (a window larger than
        the image), and may return a tuple, which follows the options in the result of `check`.
    advice: a function of the Case that returns the likely fix ("" for none), by what does not fit:
        a letter ("C"; "d" for a star; "T>0" for none at all), or the rank or dtype of an argument.
    name: in errors, where it is not that of the operation.
    """

    def __init__(self, shapes: str, dtypes: str = "", options: Mapping[str, Option] | None = None,
                 *, then: Callable[[Case], tuple | None] | None = None,
                 advice: Mapping[str, Advice] | None = None, name: str = "") -> None:
        self.shapes, self.dtypes = shapes, dtypes
        self.options = dict(options or {})
        self.then, self.advice, self.name = then, dict(advice or {}), name

    def of(self, name: str) -> Signature:
        """The declaration itself, called by the operation's name from now on."""
        self.name = self.name or name
        return self

    # Nothing is read before it is needed: an import has no time for it.

    @functools.cached_property
    def arguments(self) -> dict[str, tuple[list[Form], bool]]:
        """By argument: the forms that it may have, and whether it may be None."""
        found = {}
        for part in self.shapes.partition("->")[0].split(";"):
            match = re.fullmatch(_ARGUMENT, part.strip())
            if match is None:
                raise TypeError(f"{self.name}: what does {part.strip()!r} mean as an argument?")
            for name in match[1].split(","):
                found[name.strip()] = forms_of(match[2]), bool(match[3])
        return found

    @functools.cached_property
    def groups(self) -> list[tuple[list[str], str]]:
        """[(arguments that agree in their dtype, the kind that it must be)]."""
        groups = []
        for part in self.dtypes.split(";"):
            if part.strip():
                *names, kind = part.split()
                groups.append((names or list(self.arguments), kind))
                if kind not in _KINDS or {*names} - {*self.arguments}:
                    raise TypeError(f"{self.name}: what does {part.strip()!r} mean as a dtype?")
        return groups

    @functools.cached_property
    def typed(self) -> list[str]:
        """The arguments of whose dtypes something is said."""
        return [name for names, _ in self.groups for name in names]

    @functools.cached_property
    def parameters(self) -> list[str]:
        """The arguments and the options, in the order in which `check` takes them."""
        return [*self.arguments, *self.options]

    # the check

    @functools.cached_property
    def known(self) -> Callable[..., tuple]:
        """The check of shapes, dtypes and options, which remembers what it was asked before.

        Errors are not remembered. Equal values of different types are told apart if that matters to
        an option: it costs 0.1 us.
        """
        exact = any(option.exact for option in self.options.values())
        return functools.lru_cache(maxsize=512, typed=exact)(self._check)

    def lines(self, into: str | None = None) -> list[str]:
        """The source of the check in a function that has the arguments and options as variables,
        where KNOWN and ANEW are `known` and `anew`.

        into: where the result goes, such as "return "; else into the options themselves.
        """
        if into is None:
            into = "".join(f"{n}, " for n in self.options) + "= " if self.options else ""

        def of_each(names: Sequence[str], what: str) -> list[str]:
            return [f"None if {n} is None else {n}.{what}" if self.arguments[n][1] else
                    f"{n}.{what}" for n in names]
        key = [*of_each([*self.arguments], "shape"), *of_each(self.typed, "dtype"), *self.options]
        return [f"    try:\n        {into}KNOWN({', '.join(key)})",
                "    except (TypeError, AttributeError):",         # a list: look into it each time
                f"        {into}ANEW({', '.join(self.parameters)})"]

    @functools.cached_property
    def check(self) -> Callable[..., tuple]:
        """check(*arguments, *options) -> the options in their normal form, and what `then` adds.

        For functions of Tensors that are made of operations; what is said of an operation itself is
        written into its public function. Raises: ValueError or TypeError for what does not fit.
        """
        # A Tensor's properties of these names would take twice as long. (One that waits is no
        # Tensor here: it must not be computed.)
        arrays = [f"    if {n}.__class__ is Tensor:\n        {n} = {n}.array"
                  for n in self.arguments]
        source = "\n".join([f"def check({', '.join(self.parameters)}):", *arrays,
                            *self.lines("return ")])
        written: dict[str, Any] = {"KNOWN": self.known, "ANEW": self.anew, "Tensor": Tensor}
        exec(compile(source, f"<check of {self.name}>", "exec"), written)
        checked: Callable[..., tuple] = written["check"]
        return checked

    def anew(self, *given: Any) -> tuple:
        """The check of what cannot be looked up: with lists among the options, or what is no
        array among the arguments."""
        shapes = []
        arrays = dict(zip(self.parameters, given))
        for name, (_, optional) in self.arguments.items():
            x = arrays[name]
            no_array = not isinstance(getattr(x, "dtype", None), np.dtype) and (
                name in self.typed or not isinstance(x, (list, tuple, int, float)))
            if no_array and not (x is None and optional):
                advice = "; make it one with minigrad.tensor(...)" if isinstance(
                    x, (list, tuple, int, float)) else ""
                raise TypeError(f"{self.name}: argument '{name}' must be a Tensor, got "
                                f"{got(x, advice)}") from None
            shapes.append(None if x is None else np.shape(x))
        dtypes = [None if arrays[n] is None else arrays[n].dtype for n in self.typed]
        return self._check(*shapes, *dtypes, *given[len(self.arguments):])

    def settle(self, layer: str, sizes: Mapping[str, int] | None = None, **options: Any
               ) -> list[Any]:
        """Options of a layer that are passed on to the operation, in their normal form, refused in
        the layer's name. sizes: of the letters that they look at."""
        case = Case(layer)
        case.sizes.update(sizes or {})
        for name, option in self.options.items():
            if name in options:
                case.options[name] = option.check(case, name, options[name])
        return [case.options[name] for name in options]

    def _check(self, *key: Any) -> tuple:
        n, m = len(self.arguments), len(self.arguments) + len(self.typed)
        case = Case(self.name, dict(zip(self.arguments, key)), dict(zip(self.typed, key[n:])))
        self._check_dtypes(case)
        forms = self._check_ranks(case)
        for name, form in forms.items():
            for dim, size in form.read(case.shapes[name] or ()):
                if not dim.over and not dim.star:
                    case.sizes.setdefault(dim.letter, size)
                    case.said.setdefault(dim.letter, name)
        for (name, option), value in zip(self.options.items(), key[m:]):
            case.options[name] = option.check(case, name, value)
        self._check_sizes(case, forms)
        more = self.then(case) if self.then else None
        return (*[case.options[name] for name in self.options], *(more or ()))

    def _advised(self, case: Case, *keys: str, otherwise: str = "") -> str:
        """What is to be said about a letter or an argument, after a colon; else what is always."""
        for key in keys:
            text = self.advice[key](case) if key in self.advice else ""
            if text:
                return f": {text}"
        return f"; {otherwise}" if otherwise else ""

    def _check_dtypes(self, case: Case) -> None:
        for names, kind in self.groups:
            given = {n: case.dtypes[n] for n in names if case.dtypes[n] is not None}
            dtypes = [*given.values()]
            if dtypes[0].kind in _KINDS[kind] and dtypes.count(dtypes[0]) == len(dtypes):
                continue
            if len(names) == 1:
                name = names[0]
                article = "" if name.endswith("s") else "an " if kind == "integer" else "a "
                method = "long" if kind == "integer" else "float"
                case.refuse(f"want {article}{kind} {name}, got {given[name]}" + self._advised(
                    case, name, otherwise=f"convert it: {name}.{method}()"), TypeError)
            # The dtype of the parameters, if they have a floating one, is the one to convert to.
            want = next((d for d in dtypes[1:] if d.kind in _KINDS[kind]), None)
            if want is None or (dtypes.count(want) == 1 and dtypes[0].kind == "f"
                                and len(dtypes) > 2 and dtypes.count(dtypes[0]) > 1):
                want = dtypes[0] if dtypes[0].kind in _KINDS[kind] else None
            if want is None:
                advice = f"convert all of them: {names[0]}.float()"
            else:
                others = [n for n, d in given.items() if d != want]
                advice = f"convert {' and '.join(others)}: {others[0]}.to(minigrad.{want}), an " \
                         f"array with {others[0]}.astype('{want}')"
            listed = ", ".join(f"{n} {d}" for n, d in given.items())
            case.refuse(f"want {kind} arrays of one dtype, got {listed}; {advice}", TypeError)

    def _check_ranks(self, case: Case) -> dict[str, Form]:
        """The form of each argument that is there."""
        chosen: dict[str, Form] = {}
        which, said_by = 0, ""
        for name, (forms, _) in self.arguments.items():
            shape = case.shapes[name]
            if shape is None:
                continue
            if len(forms) > 1 and not said_by:
                fitting = [i for i, form in enumerate(forms) if form.fits(len(shape))]
                which, said_by = (fitting[0], name) if fitting else (0, "")
                form = forms[which]
            else:
                form = forms[which if len(forms) > 1 else 0]
            if not form.fits(len(shape)):
                if said_by and said_by != name and len(forms) > 1:
                    chosen[name] = form
                    self._refuse_rank(case, chosen, name, said_by)
                wanted = " or ".join(form.text() for form in forms)
                number = ", a single number" if not shape else ""
                case.refuse(f"want {name} {wanted}, got {shape}{number}"
                            + self._advised(case, name))
            chosen[name] = form
        return chosen

    def _refuse_rank(self, case: Case, forms: Mapping[str, Form], name: str, said_by: str
                     ) -> NoReturn:
        """Refuses an argument of another rank than an argument before it asks for."""
        shape, source = case.shapes[name], case.shapes[said_by] or ()
        values = {dim.letter: size for dim, size in forms[said_by].read(source)}
        wanted: list[int] = []
        for dim in forms[name].dims:
            size = values.get(dim.letter)
            if size is None or dim.over:
                case.refuse(f"{said_by} {source} is {forms[said_by].text(source)}; want {name} "
                            f"{forms[name].text()}, got {shape}" + self._advised(case, name))
            wanted += size if dim.star else [size]
        case.refuse(f"{said_by} {source} is {forms[said_by].text(source)}; want {name} "
                    f"{forms[name].text(tuple(wanted))} = {tuple(wanted)}, got {shape}"
                    + self._advised(case, name))

    def _check_sizes(self, case: Case, forms: dict[str, Form]) -> None:
        facts: dict[str, list[_Fact]] = {}
        for name, option in self.options.items():
            if isinstance(option, sizes):
                for letter, size in zip(option.letters, case.options[name]):
                    facts.setdefault(letter, []).append(_Fact(name, size, str(size)))
        stars: dict[str, str] = {}                 # who says first what a star is
        for name, form in forms.items():
            for dim, size in form.read(case.shapes[name] or ()):
                if not dim.star:
                    factor = case.options[dim.over] if dim.over else 1
                    how = f"{size}*{factor} = {size * factor}" if dim.over else str(size)
                    facts.setdefault(dim.letter, []).append(_Fact(name, size * factor, how))
                elif dim.letter != "...":
                    self._check_star(case, forms, name, dim, size, stars)
                    if not dim.spread:
                        for i, n in enumerate(size):
                            facts.setdefault(f"{dim.letter}{i + 1}", []).append(
                                _Fact(name, n, str(n)))
        for letter, said in facts.items():
            if any([fact.size != said[0].size for fact in said]):
                self._refuse_size(case, forms, letter, facts)
            case.sizes[letter] = said[0].size
        for name, form in forms.items():
            shape = case.shapes[name] or ()
            for dim, size in form.read(shape):
                if dim.least and size < dim.least:
                    advice = self._advised(case, f"{dim.letter}>0",
                                           otherwise=f"want {dim.letter} at least {dim.least}")
                    case.refuse(f"{name} {shape} is {form.text(shape)}, so {dim.letter} = {size}"
                                + advice)

    def _check_star(self, case: Case, forms: dict[str, Form], name: str, dim: Dim, size: Shape,
                    stars: dict[str, str]) -> None:
        """Refuses a star that is not, or does not broadcast to, what it was before."""
        first = stars.setdefault(dim.letter, name)
        if first == name:
            return
        source, shape = case.shapes[first] or (), case.shapes[name] or ()
        want = next(n for d, n in forms[first].read(source) if d.star)
        if dim.spread:
            if len(size) > len(want) or any([n not in (1, m) for n, m in zip(
                    reversed(size), reversed(want))]):
                case.refuse(f"{name} {shape} does not broadcast to the {first}'s shape {want}"
                            + self._advised(case, name))
        elif size != want and len(forms[first].dims) == len(forms[name].dims) == 1:
            case.refuse(f"{first} {source} and {name} {shape} must have the same shape"
                        + self._advised(case, name))
        elif len(size) != len(want):
            self._refuse_rank(case, forms, name, first)

    def _refuse_size(self, case: Case, forms: dict[str, Form], letter: str,
                     facts: dict[str, list[_Fact]]) -> NoReturn:
        """Refuses the argument that says something else about a letter than most of the others."""
        said = facts[letter]
        common = Counter(fact.size for fact in said).most_common(1)[0][0]     # of ties the first
        source = next(fact for fact in said if fact.size == common)
        blamed = next(fact for fact in said if fact.size != common)
        texts = []
        for fact in (source, blamed):
            shape = case.shapes.get(fact.argument)
            if fact.argument in forms and shape is not None:
                given, means = shape, forms[fact.argument].text(shape)
            else:
                given, means = case.options[fact.argument], self.options[fact.argument].wants
            texts.append(f"{fact.argument} {given} is {means}, so {letter} = {fact.how}")
        name = blamed.argument
        wanted = self._wanted(case, forms[name], name, facts) if name in forms else None
        most = sum(fact.size == common for fact in said) * 2 > len(said)
        otherwise = f"want the same {letter}"
        if wanted is not None:
            otherwise = f"want {name} {wanted}" if most or len(wanted) == 1 else \
                f"{otherwise}, such as {name} {wanted}"
        case.refuse("; ".join(texts) + self._advised(
            case, letter, letter.rstrip("0123456789"), otherwise=otherwise))

    def _wanted(self, case: Case, form: Form, name: str, facts: dict[str, list[_Fact]]
                ) -> Shape | None:
        """The shape that an argument should have, if the others say all of it."""
        wanted = []
        for dim, size in form.read(case.shapes[name] or ()):
            letters = [f"{dim.letter}{i + 1}" for i in range(len(size))] if dim.star \
                else [dim.letter]
            for letter in letters:
                others = Counter(f.size for f in facts.get(letter, ()) if f.argument != name)
                if not others or dim.over:
                    return None
                wanted.append(others.most_common(1)[0][0])
        return tuple(wanted)

    # what it says to a reader

    def line(self) -> str:
        """The line of shapes that a docstring shows:
        input (N, C, H, W) or (C, H, W), bias (F,) -> (N, F)"""
        def forms(text: str) -> str:
            return " or ".join(form.text() for form in forms_of(text))
        before, arrow, after = self.shapes.partition("->")
        parts = []
        for part in before.split(";"):
            match = re.fullmatch(_ARGUMENT, part.strip())
            if match is None:
                raise TypeError(f"{self.name}: what does {part.strip()!r} mean as an argument?")
            names = match[1].strip().split(", ")
            said = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
            parts.append(f"{said} {forms(match[2])}")
        return ", ".join(parts) + (f" -> {forms(after.strip())}" if arrow else "")

    def __str__(self) -> str:
        dtypes = [f"{', '.join(names)}: {'one ' * (len(names) > 1)}{kind} dtype"
                  for names, kind in self.groups]
        return "\n".join([self.line(), *dtypes,
                          *(f"{name}: {o.wants}" for name, o in self.options.items())])
