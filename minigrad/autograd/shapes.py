"""The language in which shapes are declared: "(N?, C>0, *d) | (C,)"; `signature.py` explains it.

Not here: what is done with them.
"""
from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .options import Shape


class Dim:
    """One dimension of a form, or the star of it, which is any number of them.

    over: the option that the size is multiplied with. spread: what broadcasts to the star will do.
    """

    def __init__(self, letter: str, over: str = "", least: int = 0, star: bool = False,
                 spread: bool = False) -> None:
        self.letter, self.over, self.least, self.star, self.spread = \
            letter, over, least, star, spread

    def __str__(self) -> str:
        return f"{self.letter}/{self.over}" if self.over else self.letter


def bracketed(names: Sequence[str]) -> str:
    return f"({names[0]},)" if len(names) == 1 and names[0] != "..." else f"({', '.join(names)})"


class Form:
    """One of the shapes that an argument may have."""

    def __init__(self, dims: Sequence[Dim]) -> None:
        self.dims = tuple(dims)
        stars = [i for i, d in enumerate(dims) if d.star]
        if len(stars) > 1:
            raise TypeError(f"want at most one star in a shape, got {self}")
        self.star = stars[0] if stars else None

    def fits(self, rank: int) -> bool:
        """Whether a shape of this rank can have this form."""
        if self.star is None:
            return rank == len(self.dims)
        return self.dims[self.star].spread or rank >= len(self.dims) - 1

    def read(self, shape: Shape) -> list[tuple[Dim, Any]]:
        """[(dimension, its size)]; that of a star is a tuple."""
        if self.star is None:
            return [*zip(self.dims, shape)]
        after = len(self.dims) - self.star - 1
        end = len(shape) - after
        return [*zip(self.dims[:self.star], shape),
                (self.dims[self.star], shape[self.star:end]),
                *zip(self.dims[self.star + 1:], shape[end:])]

    def text(self, shape: Shape | None = None) -> str:
        """(N, C, d1, ...), or (N, C, d1, d2) for a shape that is known."""
        if shape is None:
            return bracketed([s for d in self.dims for s in (
                (str(d),) if not d.star or d.letter == "..." else (f"{d.letter}1", "..."))])
        return bracketed([s for d, n in self.read(shape) for s in (
            (str(d),) if not d.star or d.letter == "..." else
            [f"{d.letter}{i + 1}" for i in range(len(n))])])

    __str__ = text


_DIM = r"(~?\*)?(\w+)(?:/(\w+))?(>0)?(\?)?"        # compiled when first asked: 0.3 ms an import


def forms_of(text: str) -> list[Form]:
    """The forms that "(N?, C) | (C,)" means."""
    forms = []
    for form in text.split("|"):
        dims, at = [], None
        for i, part in enumerate(p.strip() for p in form.strip()[1:-1].split(",") if p.strip()):
            match = re.fullmatch(_DIM, part)
            if part == "...":
                dims.append(Dim("...", star=True))
            elif match is None:
                raise TypeError(f"what does {part!r} mean in the shape {form.strip()}?")
            else:
                star, letter, over, positive, optional = match.groups()
                dims.append(Dim(letter, over or "", 1 if positive else 0, bool(star),
                                star == "~*"))
                at = i if optional else at
        forms.append(Form(dims))
        if at is not None:
            forms.append(Form(dims[:at] + dims[at + 1:]))
    return forms
