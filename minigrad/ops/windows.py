"""Windows that slide over images: the options that convolution and pooling share, and how many
windows there are.

Not here: what is computed in a window (`conv.py`, `pool.py`).
"""
from __future__ import annotations

from typing import Any

from ..autograd.options import Case, Option, pair

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]                  # padding at the top, left, bottom, right

WINDOW = pair(1)                                   # a stride, a dilation, the size of a window


class Padding(Option):
    """Zeros around the image, as (top, left, bottom, right): numbers, or a word.

    Looks at stride, dilation and the size of the window, which the letters KH and KW say.
    """
    exact = True
    wants = "an integer or a pair (rows, columns), at least 0, 'same' or 'valid'"
    wrong = (-1, (1, -1), 1.5, "full", (1, 2, 3), None, True)

    def check(self, case: Case, name: str, value: Any) -> Sides:
        """The sides. 'same' puts an odd one at the bottom and right."""
        if isinstance(value, str):
            if value == "valid":
                return 0, 0, 0, 0
            if value != "same":
                case.refuse(f"{name} must be numbers, 'same' or 'valid', got {value!r}")
            if case.options["stride"] != (1, 1):
                case.refuse(f"{name}='same' wants stride 1, got {case.options['stride']}: with a "
                            "stride the output cannot have the size of the input; give numbers")
            h, w = (d * (case.sizes.get(k, 1) - 1)
                    for d, k in zip(case.options["dilation"], ("KH", "KW")))
            return h // 2, w // 2, h - h // 2, w - w // 2
        if isinstance(value, tuple) and len(value) == 4:         # sides already, by convolve2d
            (top, left), (bottom, right) = (_BORDER.check(case, name, v)
                                            for v in (value[:2], value[2:]))
            return top, left, bottom, right
        h, w = _BORDER.check(case, name, value)
        return h, w, h, w


_BORDER = pair(0)


class HalfPadding(pair):
    """Padding of a pooling: at most half of the window, or windows would see no image."""

    def __init__(self, window: str) -> None:
        super().__init__(0)
        self.window, self.wants = window, f"{self.wants}, at most half of {window}"
        self.wrong = (*self.wrong, 1000)

    def check(self, case: Case, name: str, value: Any) -> Pair:
        """The pair."""
        padding, (kh, kw) = super().check(case, name, value), case.options[self.window]
        if padding[0] > kh // 2 or padding[1] > kw // 2:
            case.refuse(f"{name} {padding} must be at most half of {self.window} {(kh, kw)}, "
                        f"{(kh // 2, kw // 2)}; more would make windows that see no image")
        return padding


def count(n: int, k: int, stride: int, padding: int, dilation: int = 1, ceil: bool = False,
          before: int = 0) -> int:
    """How many windows of k there are along an axis of n, with so much padding in all; less than 1
    if there is no room. ceil: also one that hangs over the end, if it begins on the image or the
    padding `before` it (torch's rule)."""
    room = n + padding - dilation * (k - 1) - 1
    if not ceil:
        return room // stride + 1
    out = -(-room // stride) + 1
    return out - 1 if (out - 1) * stride >= n + before else out


def counted(case: Case, hw: Pair, khw: Pair, stride: Pair, sides: Sides, dilation: Pair,
            ceil: bool = False, what: str = "kernel") -> Pair:
    """(OH, OW), or the error with the arithmetic if the window is larger than the image."""
    out = []
    for i, axis in enumerate(("height", "width")):
        n, k, d, before, after = hw[i], khw[i], dilation[i], sides[i], sides[i + 2]
        out.append(count(n, k, stride[i], before + after, d, ceil, before))
        if out[i] < 1:
            reach = d * (k - 1) + 1
            fix = f"use padding={-(-(reach - n) // 2)} or a smaller kernel" if what == "kernel" \
                else f"use a smaller {what}"
            case.refuse(
                f"the {what} is larger than the image: {axis} {n} + padding {before} + {after} = "
                f"{n + before + after}, but a {what} of {k} with dilation {d} covers "
                f"{d}*({k}-1)+1 = {reach}; {fix}")
    return out[0], out[1]


def image(case: Case) -> Pair:
    """(H, W) of the case."""
    return case.sizes["H"], case.sizes["W"]
