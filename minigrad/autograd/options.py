"""What an option of an operation may be: a pair, an integer, a number in a range, one of a few
words.

A kind brings a value to its normal form or refuses it, and says in words what it wants. A family's
own kinds stand beside the family (`ops/windows.py`, `ops/dims.py`).
Not here: shapes (`shapes.py`), who asks (`signature.py`).
"""
from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

Shape = tuple[int, ...]


class Case:
    """One call that is looked into: what was given, and what is known of it so far.

    shapes, dtypes: by argument (None for one that is not there). options: those that were checked,
    in their normal form. sizes: by letter. said: the argument that says it first.
    """

    def __init__(self, op: str, shapes: Mapping[str, Shape | None] | None = None,
                 dtypes: Mapping[str, Any] | None = None) -> None:
        self.op, self.shapes, self.dtypes = op, dict(shapes or {}), dict(dtypes or {})
        self.options: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}
        self.said: dict[str, str] = {}

    def refuse(self, text: str, kind: type[Exception] = ValueError) -> NoReturn:
        """Raises the error, with the operation's name before it."""
        raise kind(f"{self.op}: {text}") from None


class Option:
    """What an option may be. A kind of its own overrides `check`, and `wants`, which says it.

    exact: whether equal values of other types are something else: 1.0 and True are no 1.
    wrong: values that are refused, for the tests.
    """
    exact = False
    wants = ""
    wrong: tuple[Any, ...] = ()

    def check(self, case: Case, name: str, value: Any) -> Any:
        """The value in its normal form. Raises ValueError or TypeError."""
        raise NotImplementedError


def is_integer(value: Any) -> bool:
    """Whether a value is an integer of Python or NumPy, and no boolean."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


class integer(Option):
    """An integer, at least `least`."""
    exact = True

    def __init__(self, least: int | None = None) -> None:
        self.least = least
        self.wants = "an integer" if least is None else f"an integer, at least {least}"
        self.wrong = (1.5, "1", None, True, *([] if least is None else [least - 1]))

    def check(self, case: Case, name: str, value: Any) -> int:
        """The integer."""
        if not is_integer(value):
            case.refuse(f"{name} must be an integer, got {value!r}", TypeError)
        if self.least is not None and value < self.least:
            case.refuse(f"{name} must be at least {self.least}, got {value!r}")
        return int(value)


class pair(Option):
    """(rows, columns) from one integer or a pair of them, each at least `least`.

    like: the option that it is equal to if it is not given (None, or an empty tuple).
    """
    exact = True

    def __init__(self, least: int, like: str | None = None) -> None:
        self.least, self.like = least, like
        self.wants = f"an integer or a pair (rows, columns), at least {least}" + (
            f"; None: as {like}" if like else "")
        self.wrong = (least - 1, (1, least - 1), 1.5, "2", (1, 2, 3), True)

    def check(self, case: Case, name: str, value: Any) -> tuple[int, int]:
        """The pair."""
        if self.like and (value is None or (isinstance(value, (tuple, list)) and not value)):
            both: tuple[int, int] = case.options[self.like]
            return both
        try:
            if isinstance(value, (bool, str)):
                raise TypeError
            given = (value, value) if is_integer(value) else tuple(value)
            rows, columns = (int(v) for v in given if v == int(v))
        except (TypeError, ValueError):
            case.refuse(f"{name} must be an integer or a pair (rows, columns), got {value!r}")
        if min(rows, columns) < self.least:
            case.refuse(f"{name} must be at least {self.least}, got {value!r}")
        return rows, columns


class sizes(Option):
    """A pair (or more) of sizes, which say what letters are: sizes("H", "W")."""
    exact = True

    def __init__(self, *letters: str, least: int = 0) -> None:
        self.letters, self.least, self.wants = letters, least, f"({', '.join(letters)})"
        self.wrong = (3, (*(2 for _ in letters), 2), tuple(-1 for _ in letters), "22", None)

    def check(self, case: Case, name: str, value: Any) -> tuple[int, ...]:
        """The sizes, as a tuple."""
        n = len(self.letters)
        if not isinstance(value, (tuple, list)) or len(value) != n \
                or not all([is_integer(v) and v >= self.least for v in value]):
            case.refuse(f"{name} must be {self.wants}, {n} sizes of at least {self.least}, got "
                        f"{value!r}")
        for letter, size in zip(self.letters, value):
            case.sizes.setdefault(letter, int(size))
        return tuple(map(int, value))


class divides(Option):
    """A positive integer that divides the size of a letter; `what` the letter counts."""
    exact = True

    def __init__(self, letter: str, what: str) -> None:
        self.letter, self.what = letter, what
        self.wants = f"a positive integer that divides {letter}, the {what}"
        self.wrong = (0, -1, 1.0, "1", None, True, 10**6 + 3)

    def check(self, case: Case, name: str, value: Any) -> int:
        """The integer."""
        size = case.sizes.get(self.letter, 0)
        if not is_integer(value) or value < 1 or size % value:
            source = case.said.get(self.letter, "")
            where = f" of {source} {case.shapes[source]}" if source else ""
            case.refuse(f"{name} must be a positive integer that divides the {size} {self.what} "
                        f"({self.letter} = {size}{where}), got {value!r}")
        return int(value)


class number(Option):
    """A number in a range: from `least` to `most`, or more than `above` and less than `below`.

    otherwise: what to do for another number.
    """

    def __init__(self, least: float = -math.inf, most: float = math.inf, *,
                 above: float | None = None, below: float | None = None, otherwise: str = ""
                 ) -> None:
        self.least, self.most, self.above, self.below = least, most, above, below
        self.otherwise = f"; {otherwise}" if otherwise else ""
        if above is not None:
            self.rule = "{} must be positive" if (above, below) == (0, None) else \
                f"want {above:g} < {{}}" + (f" < {below:g}" if below is not None else "")
        else:
            self.rule = f"{{}} must be between {least:g} and {most:g}" if most < math.inf else \
                "{} must not be negative" if least == 0 else f"{{}} must be at least {least:g}"
        self.wants = f"a number; {self.rule.format('it')}"
        self.wrong = ("1", None, math.nan, least - 1 if above is None else above,
                      most + 1 if below is None else below)
        self.wrong = tuple(v for v in self.wrong if not (
            isinstance(v, float) and math.isinf(v) and self._inside(v)))

    def _inside(self, value: Any) -> bool:
        return bool(self.least <= value <= self.most
                    and (self.above is None or self.above < value)
                    and (self.below is None or value < self.below))

    def check(self, case: Case, name: str, value: Any) -> float:
        """The number."""
        if not isinstance(value, (int, float, np.number)) or isinstance(value, bool):
            case.refuse(f"{name} must be a number, got {value!r}", TypeError)
        if not self._inside(value):
            case.refuse(f"{self.rule.format(name)}, got {value}{self.otherwise}")
        return float(value)


class choice(Option):
    """One of a few words."""

    def __init__(self, *words: str) -> None:
        self.words = words
        quoted = [repr(w) for w in words]
        self.wants = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
        self.wrong = ("no such word", 1, None, words)

    def check(self, case: Case, name: str, value: Any) -> str:
        """The word."""
        if not isinstance(value, str) or value not in self.words:
            case.refuse(f"{name} must be {self.wants}, got {value!r}")
        return value


class flag(Option):
    """True or False; 1 and 0 will do, but not a word, of which 'no' would count as true."""
    wants = "True or False"
    wrong = ("no", None, 2, ())

    def check(self, case: Case, name: str, value: Any) -> bool:
        """The truth."""
        if not isinstance(value, (bool, np.bool_)) and not (is_integer(value) and value in (0, 1)):
            case.refuse(f"{name} must be True or False, got {value!r}", TypeError)
        return bool(value)
