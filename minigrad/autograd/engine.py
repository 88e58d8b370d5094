"""The engine: a Tensor remembers what made it; backward() walks these memories in reverse.

Read this file first, from top to bottom: Tensor (an array and a link to its history), Node (one
step of the history), then the reverse walk. Next: `op.py` (what an operation is) and
`ops/elementwise.py`. Not in this file: any particular operation or derivative (`ops/`), any loop
over numbers (`kernels/`).
"""
from __future__ import annotations

import math
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy import ndarray

from .. import advice, tuning
from ..face import ArrayFace
from ..foreign import got, named
from ..memory import Block
from ..modes import NUMPYS_ERRORS, SILENCE, settings
from ..promotion import (
    FLOAT32, WIDE, dtype_named, own_dtype, refuse_foreign, refuse_unfit_data, unknown_dtype,
)
from ..sums import ROWS, total
from .writes import Where, describe, memory_owner, now, record_write, user_line, writes

if TYPE_CHECKING:
    from .op import Op

    # The methods that are operations (x + y, x.sum(), ...): ops/__init__.py attaches them.
    from ..ops import TensorMethods
else:
    class TensorMethods:
        __slots__ = ()



# --- Tensor --------------------------------------------------------------------------------------

class Tensor(TensorMethods, ArrayFace):
    """A multi-dimensional array that remembers how it was computed.

    Tensor(data, dtype=None, requires_grad=False) copies `data` (numbers, nested lists, arrays).
    Python floats become the default dtype (float32); arrays keep theirs.

    Attributes:
        grad: after backward(), the gradient of a leaf (a Tensor of the same shape), else None.
        requires_grad: whether operations on this tensor are recorded.
        grad_fn: the Node that made this tensor, None for a leaf.
    """
    # array: the numbers. node: the step that made them (for a leaf: where its gradient arrives,
    # made at first use). No node points back at the tensor it made: there are no cycles.
    # origin: (x, index), set only if this tensor is the view x[index]; see become().
    # later: set only while a fusion is being waited for; see fusion.py.
    # label: set only if the user gave the tensor a name; see name.
    __slots__ = ("array", "node", "_requires_grad", "grad", "origin", "later", "label",
                 "__weakref__")
    origin: tuple[Tensor, Any]
    later: Any
    label: str
    array: ndarray
    node: Node | None
    _requires_grad: bool
    grad: Tensor | None

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        if isinstance(dtype, int):
            raise TypeError("Tensor: want data, got sizes; use minigrad.empty(2, 3) for a tensor "
                            "of that shape, minigrad.tensor([2, 3]) for these numbers")
        self.array = to_array(data, dtype, copy=True)
        self.node = self.grad = None
        self._requires_grad = False
        self.requires_grad = requires_grad

    # the graph

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value and self.array.dtype.kind != "f":
            raise TypeError(f"requires_grad: only floating tensors have gradients, this one is "
                            f"{self.array.dtype}; convert it first: x.float() or dtype=float32")
        if not value and self.grad_fn is not None:
            raise ValueError("requires_grad: this tensor is the result of an operation and cannot "
                             "be cut off from its inputs; use x.detach() to get one that is")
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Sets requires_grad and returns the tensor itself."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user rather than by a recorded operation."""
        return self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        """The Node of the operation that made this tensor; None for a leaf."""
        return None if type(self.node) is Leaf else self.node

    @property
    def name(self) -> str | None:
        """What messages call this tensor: the name that it was given, x.name = "w", else None (but
        nn.Parameter knows its path in the model). It stays with this object, copies have none."""
        return getattr(self, "label", None)

    @name.setter
    def name(self, name: str | None) -> None:
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name: want a string or None, got {type(name).__name__}")
        self.label = name                                        # type: ignore[assignment]

    def backward(self, gradient: Any = None, retain_graph: bool | None = None,
                 create_graph: bool = False,
                 inputs: Tensor | Sequence[Tensor] | None = None) -> None:
        """Adds d(self)/d(leaf) to the `.grad` of every leaf that this tensor was computed from.

        gradient: the cotangent, shape of self; may be left out if self has one element (then 1).
        retain_graph: keep the saved values for another backward (default: create_graph).
        create_graph: record this backward itself, for derivatives of higher order.
        inputs: accumulate into these leaves (or this one) only.

        Raises: ValueError if self has several elements and no gradient is given, or needs no
        gradient; RuntimeError if the graph was freed or a saved value was overwritten.
        """
        cotangents = None if gradient is None else [gradient]
        if inputs is None:
            _walk([self], cotangents, retain_graph, create_graph, None, accumulate=True)
        else:
            backward([self], cotangents, retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """A tensor with the same memory and no history."""
        return wrap(self.array)

    def detach_(self) -> Tensor:
        """Forgets the history of this tensor itself."""
        self.node = None
        self._requires_grad = False
        return self

    @property
    def data(self) -> Tensor:
        """The detached tensor (same memory), as in torch; the NumPy array itself is `numpy()`."""
        return wrap(self.array)

    @data.setter
    def data(self, value: Any) -> None:
        if isinstance(value, ndarray):             # its memory is shared
            refuse_foreign("data", value)
        self.replace_array(to_array(value))

    def replace_array(self, array: ndarray) -> None:
        """Gives a leaf another array, of any shape or dtype; its hooks stay."""
        self.array = array
        old = self.node
        if type(old) is Leaf:                      # it knows the old shape and dtype
            self.node = None
            if old.hooks:
                leaf(self).hooks = old.hooks

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Calls hook(grad) when the gradient of this tensor is complete; it may return another.

        Returns a handle with remove(). Raises ValueError if the tensor needs no gradient.
        """
        if not self._requires_grad:
            raise ValueError("register_hook: this tensor does not require a gradient, so the hook "
                             "would never be called; set requires_grad=True first")
        node = self.node or leaf(self)
        return HookHandle(node, hook)

    def retain_grad(self) -> None:
        """Keeps `.grad` for this tensor although it is not a leaf."""
        node = self.grad_fn
        if node is not None and not any(type(h) is Keep for h in node.hooks or ()):
            HookHandle(node, Keep(self))

    # copies

    __hash__ = object.__hash__                     # by identity: == compares the elements

    def __deepcopy__(self, memo: dict) -> Tensor:
        if self.grad_fn is not None:
            raise ValueError("deepcopy: only leaves can be copied with their place in the graph; "
                             "use x.detach().clone() for the numbers, x.clone() inside the graph")
        new = object.__new__(type(self))
        memo[id(self)] = new
        new.array, new.node = self.array.copy(), None
        new._requires_grad = self._requires_grad
        new.grad = None if self.grad is None else wrap(self.grad.array.copy())
        return new

    def __reduce__(self) -> Any:
        if self.grad_fn is not None:
            raise ValueError("pickle: this tensor has a history, which cannot be stored; "
                             "use x.detach()")
        return _unpickle, (type(self), self.array, self._requires_grad)

    # in place

    def become(self, result: Tensor) -> Tensor:
        """The second half of every in-place operation: self takes the values of `result`.

        Where no gradient is involved the numbers are written into self's own memory, and the write
        is counted. Otherwise self also takes result's place in the graph. Then its memory is not
        touched: other nodes may have saved it, and other views of it keep the old numbers. If self
        is itself x[index], then x is what changes: x becomes x with [index] replaced.

        Raises: ValueError for a leaf that requires grad (its gradient would have nowhere to go),
        for any other view (what it views would not follow), or for another shape; TypeError for a
        dtype that does not fit.
        """
        old, new = self.array, result.array
        if new.shape != old.shape:
            raise ValueError(f"in place: the result has shape {new.shape}, it does not fit the "
                             f"tensor's own {old.shape}; write x = x + y instead of x += y")
        if new.dtype != old.dtype and _KINDS[new.dtype.kind] > _KINDS[old.dtype.kind]:
            raise TypeError(f"in place: a result of {new.dtype} does not fit a tensor of "
                            f"{old.dtype}; convert first, for example x = x.to({new.dtype})")
        recorded = settings.grad_enabled and (self._requires_grad or result._requires_grad)
        if not recorded:
            refuse_read_only(old)
            np.copyto(old, new, casting="unsafe")  # within a kind, as in torch
            record_write(old)
            return self
        if new.dtype != old.dtype:
            result = result.to(old.dtype)
        views: list[tuple[Tensor, Any]] = []       # self = x[i][j]: x[i][j], then x[i]
        whole = self
        while hasattr(whole, "origin") or shares_memory(whole.array, besides=len(views)):
            parent, index = getattr(whole, "origin", (None, None))
            if parent is None or memory_owner(parent.array) is not memory_owner(whole.array):
                raise ValueError("in place: this tensor is a view (a reshape, a transpose, a row "
                                 "of what has changed since, ...), and what it views would not "
                                 "record the change. Write into that, or work on x.clone()")
            result = parent.with_item(index, result)
            views.append((whole, index))
            whole = parent
        refuse_leaf_write(whole)
        whole.take_place(result)
        for view, index in reversed(views):
            view.take_place(whole[index])
            whole = view
        return self

    def take_place(self, result: Tensor) -> None:
        """Self is from now on what `result` is in the graph; retain_grad() goes with it."""
        old = self.node
        self.array, self.node, self._requires_grad = (
            result.array, result.node, result._requires_grad)
        if old is not None and any(type(h) is Keep for h in old.hooks or ()):
            old.hooks = [h for h in old.hooks or () if type(h) is not Keep] or None
            self.retain_grad()


_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}           # what fits in place: not what is higher


def shares_memory(array: ndarray, besides: int = 0) -> bool:
    """Whether the array is a view of memory that others hold too (besides so many known views).

    y.reshape(...) and y[0] are views even where y is forgotten at once: then nobody else sees it.
    """
    return not _whole(array) and _holders(array) > _ONE_HOLDER + besides


def _whole(array: ndarray) -> bool:
    """Whether it is no view: the memory is its own, or lent to it alone."""
    return array.base is None or array.base.__class__ is Block


def _holders(view: ndarray) -> float:
    base = view.base
    return sys.getrefcount(base) if isinstance(base, ndarray) and _whole(base) else math.inf


_ONE_HOLDER = _holders(np.zeros(2)[:1])            # asked: it depends on the version of Python


def refuse_leaf_write(x: Tensor) -> None:
    """Raises where a recorded in-place operation on x would lose the gradient of x."""
    if x._requires_grad and x.grad_fn is None:
        raise ValueError("in place: this is a leaf that requires grad; changing it would lose its "
                         "gradient. Update it under `with no_grad():`, or work on x.clone()")


def refuse_read_only(array: ndarray) -> None:
    """Raises where a tensor's memory may not be written into."""
    if not array.flags.writeable:
        raise ValueError("in place: this tensor is read-only memory (an expanded view, or made "
                         "from a read-only array); work on x.clone()")


def _unpickle(cls: type[Tensor], array: ndarray, requires_grad: bool) -> Tensor:
    new = object.__new__(cls)
    new.array, new.node, new.grad = to_array(array), None, None  # perhaps of another byte order
    new._requires_grad = requires_grad
    return new


def wrap(array: Any, node: Node | None = None) -> Tensor:
    """A Tensor around an array, which is not copied."""
    t = Tensor.__new__(Tensor)
    t.array = array if type(array) is ndarray else np.asarray(array)
    t.node = node
    t._requires_grad = node is not None
    t.grad = None
    return t


def to_array(data: Any, dtype: Any = None, copy: bool = False) -> ndarray:
    """An array of numbers from what a user may give: numbers, nested lists, arrays, Tensors.

    Another byte order is converted (which is a copy). Raises: TypeError for what is no number.
    """
    has_dtype = isinstance(data, (ndarray, np.generic, Tensor))
    if isinstance(data, Tensor):
        array = data.array
    elif isinstance(data, (list, tuple)) and any(isinstance(d, Tensor) for d in data):
        array = np.array([to_array(d) for d in data])
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ValueError(f"tensor: the nested sequences have different lengths ({error})"
                             ) from None
    native = own_dtype(array.dtype)
    if native is None:
        raise unknown_dtype("tensor", array.dtype, named(data))
    if native is not array.dtype and native == array.dtype:      # an equal one, unpickled
        array = array.view(native)
    if dtype is not None:
        dtype = dtype_named("tensor", dtype)
        if not has_dtype or isinstance(data, np.generic):
            refuse_unfit_data("tensor", dtype, array)
    elif native.kind == "f" and not has_dtype:
        dtype = settings.default_dtype
    elif native != array.dtype:
        dtype = native
    if dtype is not None:
        return np.array(array, dtype=dtype, copy=True if copy else None)
    return array.copy() if copy else array


# --- Node ----------------------------------------------------------------------------------------

class Node:
    """One recorded operation: what ran, from which nodes, and what its derivative will need.

    inputs: for each differentiable argument the Node that made it, None where no gradient is
        needed.
    saved: the values that the rules asked for by name, in the order of `op.requests`; None once
        freed.
    shape, dtype: of the result; gradients are brought to them. For several results: how many, None.
    birth: its number on the engine's clock; inputs are always older than what is made of them.
    """
    __slots__ = ("op", "inputs", "saved", "shape", "dtype", "birth", "where", "hooks")

    def __init__(self, op: Op | Place, inputs: tuple[Node | None, ...], saved: tuple | None,
                 shape: Any, dtype: np.dtype | None, where: Where | None) -> None:
        self.op = op
        self.inputs = inputs
        self.saved = saved
        self.shape = shape
        self.dtype = dtype
        self.birth = now()
        self.where = where
        self.hooks: list[Callable] | None = None

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.op.name

    def watch(self) -> None:
        """Called before somebody may look at the gradient that arrives here; see fusion.py."""

    def __repr__(self) -> str:
        return f"<{self.name} at {describe(self.where)}>"


class Leaf(Node):
    """Where the gradient of a tensor that the user made arrives. It holds the tensor weakly.

    where: the line that used the tensor first.
    """
    __slots__ = ("owner",)

    def __init__(self, owner: Tensor) -> None:
        super().__init__(LEAF, (), (), owner.array.shape, owner.array.dtype, user_line())
        self.owner = weakref.ref(owner)

    @property
    def name(self) -> str:
        """The tensor's name, in quotes, after the word leaf."""
        tensor = self.owner()
        name = None if tensor is None else tensor.name
        return "leaf" if name is None else f"leaf {name!r}"

    def __repr__(self) -> str:
        return f"<{self.name} {self.shape}, first used at {describe(self.where)}>"


class Place:
    """In Node.op where a node is a place in the graph rather than an operation."""
    rules: tuple = ()
    joint = None
    keeps = False
    requests: tuple = ()

    def __init__(self, name: str) -> None:
        self.name = name


LEAF, PICK = Place("leaf"), Place("pick")


class _AtLeaves:
    """Threads that share parameters meet at the leaves only: there they take turns."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        if hasattr(os, "register_at_fork"):        # who held it is not in the child process
            os.register_at_fork(after_in_child=lambda: setattr(self, "lock", threading.RLock()))


at_leaves = _AtLeaves()


def pick(node: Node, i: int, value: ndarray, where: Where | None) -> Node:
    """The node of the i-th result of a node with several: a link is always to one node."""
    return Node(PICK, (node,), (i,), value.shape, value.dtype, where)


def leaf(tensor: Tensor) -> Leaf:
    """Gives a tensor that requires grad the node that its first use needs."""
    with at_leaves.lock:                           # two threads may use it first
        if tensor.node is None:
            tensor.node = Leaf(tensor)
        return cast(Leaf, tensor.node)


class Keep:
    """The hook of retain_grad(). The node must not keep its own result alive: it is held weakly."""
    __slots__ = ("owner",)

    def __init__(self, owner: Tensor) -> None:
        self.owner = weakref.ref(owner)

    def __call__(self, g: Tensor) -> None:
        tensor = self.owner()
        if tensor is not None:
            g = g.clone()
            tensor.grad = g if tensor.grad is None else tensor.grad + g


class HookHandle:
    """Returned by register_hook: remove() takes the hook away again."""

    def __init__(self, node: Node, hook: Callable) -> None:
        node.watch()
        self.node, self.hook, self.removed = node, hook, False
        # What is kept is what the other hooks made of the gradient.
        node.hooks = sorted([*(node.hooks or ()), hook], key=lambda h: type(h) is Keep)

    def remove(self) -> None:
        """Removes the hook; a second call does nothing."""
        hooks = list(self.node.hooks or ())
        if self.hook in hooks and not self.removed:              # it may be registered twice
            hooks.remove(self.hook)
            self.removed, self.node.hooks = True, hooks or None


# --- the reverse walk ----------------------------------------------------------------------------
# A value that is used twice gets its gradient from both uses, and may hand it on only when both
# have arrived. A naive recursion (each node at once calls its inputs) gets this wrong:
#     a = x * 1
#     b = a * 2
#     y = a * b                                    # dy/dx = 4 x
# It walks y -> a -> x with a part of a's gradient, then y -> b -> a -> x with the rest *plus* the
# part that x has had already. So a node must wait until every node made from it is done. Nodes are
# numbered at birth, and inputs are older than what is made of them: youngest first is right.

def backward(tensors: Tensor | Sequence[Tensor], grad_tensors: Any = None,
             retain_graph: bool | None = None, create_graph: bool = False,
             inputs: Tensor | Sequence[Tensor] | None = None) -> None:
    """Adds the gradients of the tensors' sum to the `.grad` of the leaves; see Tensor.backward.

    tensors: a Tensor or a sequence. grad_tensors: cotangents, like the tensors.
    """
    if isinstance(tensors, Tensor):
        tensors, grad_tensors = [tensors], None if grad_tensors is None else [grad_tensors]
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    if inputs is not None and not inputs:
        raise ValueError("backward: inputs is empty, so nothing would be accumulated; leave it out "
                         "for all leaves")
    targets = None if inputs is None else _nodes_of(inputs, "backward")
    if targets is not None and any(type(n) is not Leaf for n in targets):
        raise ValueError("backward: inputs must be leaves; use minigrad.grad() for other tensors")
    _walk(tensors, grad_tensors, retain_graph, create_graph, targets, accumulate=True)


def grad(outputs: Tensor | Sequence[Tensor], inputs: Tensor | Sequence[Tensor],
         grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
         allow_unused: bool = False) -> tuple[Tensor, ...]:
    """The gradients of the outputs' sum with respect to the inputs; touches no `.grad`.

    outputs, inputs: a Tensor or a sequence. grad_outputs: cotangents, like the outputs.
    allow_unused: None for an input that the outputs do not depend on, instead of an error.
    Returns one Tensor for each input, of its shape.

    Raises: ValueError if an input needs no gradient or is not used; RuntimeError as backward.
    """
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is not None and (isinstance(grad_outputs, (Tensor, ndarray, float, int))):
        grad_outputs = (grad_outputs,)
    nodes = _nodes_of(inputs, "grad")
    found = _walk(outputs, grad_outputs, retain_graph, create_graph, nodes, accumulate=False)
    last = {node: i for i, node in enumerate(nodes)}             # an input may be given twice
    result: list[Any] = []
    for i, node in enumerate(nodes):
        g = found.pop(node, None) if last[node] == i else found.get(node)
        if g is None and not allow_unused:
            raise ValueError(f"grad: the outputs do not depend on input {i} ({_called(inputs[i])}"
                             f"shape {inputs[i].shape}); pass allow_unused=True to get None for it")
        if isinstance(g, Tensor):
            result.append(own_tensor(g, _ONE_CALLER))
        else:
            result.append(None if g is None else wrap(own(g, _ONE_CALLER)))
    return tuple(result)


def _called(x: Tensor) -> str:
    return "" if x.name is None else f"{x.name!r}, "


def _nodes_of(inputs: Sequence[Tensor], caller: str) -> list[Node]:
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x._requires_grad:
            raise ValueError(f"{caller}: input {i} does not require grad; make it a Tensor with "
                             "requires_grad=True before it is used")
    nodes = [x.node or leaf(x) for x in inputs]
    for node in nodes:
        node.watch()
    return nodes


def _walk(roots: Sequence[Tensor], cotangents: Sequence[Any] | None, retain_graph: bool | None,
          create_graph: bool, targets: list[Node] | None, accumulate: bool) -> dict[Node, Any]:
    """Runs the rules from the roots back to the leaves, or to the targets if these are given.

    Arrays flow through the rules; Tensors under create_graph, so that the same rules record the
    graph of the derivative. Returns {target: gradient} unless the leaves take them (accumulate).
    """
    retain = create_graph if retain_graph is None else retain_graph
    if cotangents is not None and len(cotangents) != len(roots):
        raise ValueError(f"backward: {len(cotangents)} gradients for {len(roots)} tensors; want "
                         "one, or None, for each")
    grads: dict[Node, Any] = {}                    # have arrived, are not handed on yet
    rounded: set[Node] = set()                     # of float16: their sum is made in float32
    for i, root in enumerate(roots):
        node = root.node or (leaf(root) if root._requires_grad else None)
        if node is None or not root._requires_grad:
            raise ValueError("backward: this tensor was not computed from anything that requires "
                             "grad (or under no_grad), so there is nothing to differentiate")
        g = _cotangent(root, None if cotangents is None else cotangents[i])
        if isinstance(g, Tensor) != create_graph:
            g = wrap(g) if create_graph else g.array             # type: ignore[union-attr]
        if node in grads:
            _add(grads, node, g, rounded)
        else:
            grads[node] = g
    order = _youngest_first(grads)
    wanted = None if targets is None else _leading_to(order, targets)
    found: dict[Node, Any] = {}
    stops = None if accumulate or targets is None else frozenset(targets)
    before = settings.grad_enabled
    settings.grad_enabled = create_graph
    # A rule may compute 0 * inf beside where() that drops it: no number of the user's is meant.
    # (What hooks compute is the user's again: there his settings hold.)
    errors = NUMPYS_ERRORS.set(SILENCE)
    try:
        for node in order:
            g = grads.pop(node, None)
            if g is None:                          # no gradient came this way
                continue
            if rounded and node in rounded:
                g = g.to(node.dtype) if isinstance(g, Tensor) else g.astype(node.dtype)
            if node.hooks is not None:
                NUMPYS_ERRORS.reset(errors)
                try:
                    g = _call_hooks(node, g)
                finally:
                    errors = NUMPYS_ERRORS.set(SILENCE)
            if stops is not None and node in stops:
                found[node] = g
            op, inputs = node.op, node.inputs
            if op is LEAF:
                if accumulate and (wanted is None or node in wanted):
                    with at_leaves.lock:
                        _accumulate(node, g)                     # type: ignore[arg-type]
                continue
            if wanted is not None:
                inputs = tuple([n if n in wanted else None for n in inputs])
                if not any(inputs):                # a target itself may be freed: it need not run
                    continue
            saved = node.saved
            if saved is None:
                raise _freed(node)
            if op is PICK:
                parts = grads.setdefault(inputs[0], [None] * inputs[0].shape)    # type: ignore
                old = parts[saved[0]]
                parts[saved[0]] = g if old is None else old + g
                continue
            if writes.last > node.birth:
                _check_not_overwritten(node, inputs)
            if create_graph:
                saved = _as_tensors(node)
            for slot, rule, picked in op.rules:
                link = inputs[slot]
                if link is not None:
                    if picked.__class__ is int:    # one value: a call with * takes 0.14 us more
                        part = rule(g, saved[picked])                # type: ignore[index]
                    else:
                        part = rule(g, *picked(saved))               # type: ignore[operator]
                    if part.shape == link.shape and part.dtype is link.dtype and (
                            part.nbytes < LARGE or link not in grads):           # as _add, here
                        old = grads.get(link)
                        grads[link] = part if old is None else old + part
                    else:
                        _add(grads, link, part, rounded)
            if op.joint is not None:
                slots, rule, picked = op.joint
                links = inputs if slots is None else [inputs[i] for i in slots]
                if any(links):
                    for link, part in zip(links, rule(g, *picked(saved)), strict=True):
                        if link is not None and part is not None:
                            if link in grads or part.shape != link.shape or \
                                    part.dtype is not link.dtype:
                                _add(grads, link, part, rounded)
                            else:
                                grads[link] = part
            part = None                            # or a leaf would take its gradient for shared
            if op.keeps and not retain:            # torch: what saved no numbers may be used again
                node.saved = None                  # where it leads stays known, for grad()
    finally:
        NUMPYS_ERRORS.reset(errors)
        settings.grad_enabled = before
    return found


def _youngest_first(roots: Iterable[Node]) -> list[Node]:
    """All nodes that the roots were made from, each once, younger before older; no recursion."""
    seen = set(roots)
    order = list(seen)
    for node in order:                             # which grows meanwhile
        for link in node.inputs:
            if link is not None and link not in seen:
                seen.add(link)
                order.append(link)
    order.sort(key=_BIRTH, reverse=True)
    return order


_BIRTH = attrgetter("birth")


def _leading_to(order: list[Node], targets: list[Node]) -> set[Node]:
    """The nodes from which a target can be reached: only their rules need to run."""
    wanted = set(targets)
    for node in reversed(order):                   # oldest first
        if any(link in wanted for link in node.inputs):
            wanted.add(node)
    return wanted


#: Bytes from which a sum of two gradients is written over one of them, if nobody else holds that.
LARGE = tuning.GRADIENT_IN_PLACE


def add_into(total: ndarray, part: ndarray) -> None:
    """total += part. ops/__init__.py puts the loop over all threads in its place."""
    np.add(total, part, total)


def _add(grads: dict[Node, Any], node: Node, g: Any, rounded: set[Node]) -> None:
    """A gradient arrives at a node. The first is kept, others are added.

    rounded: takes the node if its dtype is one that sums would stall in: what arrives wider is
    added as it is, and rounded once, when all have arrived.

    Out of place: what a rule returns may be held by others, too. Only of a large array that is
    certainly this walk's own is the memory used again.
    """
    if g.shape != node.shape:
        g = unbroadcast(g, node.shape)
    if g.dtype is not node.dtype and g.dtype != node.dtype:
        if node.dtype in WIDE and g.dtype == WIDE[node.dtype]:
            rounded.add(node)
        else:
            g = g.to(node.dtype) if isinstance(g, Tensor) else g.astype(node.dtype)
    old = grads.pop(node, None)
    if old is None:
        grads[node] = g
    elif old.__class__ is not ndarray or g.__class__ is not ndarray or g.nbytes < LARGE \
            or old.dtype != g.dtype:
        grads[node] = old + g
    elif _whole(old) and old.flags.writeable and sys.getrefcount(old) <= _ONE_LOCAL:
        add_into(old, g)
        grads[node] = old
    elif _whole(g) and g.flags.writeable and sys.getrefcount(g) <= _ONE_CALLER:
        add_into(g, old)
        grads[node] = g
    else:
        grads[node] = old + g


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sums g over the dimensions along which a value of `shape` was repeated by broadcasting."""
    lead = g.ndim - len(shape)
    if lead == 1 and shape and g.__class__ is ndarray and g.shape[1:] == shape and \
            len(g) < ROWS and g.itemsize > 2:
        return np.add.reduce(g)                    # a bias: 1 us less than the general way
    axes = (*range(lead), *(i + lead for i, n in enumerate(shape) if n == 1 != g.shape[i + lead]))
    return (total(g, axes) if g.__class__ is ndarray else g.sum(axes)).reshape(shape)


def _accumulate(node: Leaf, g: Any) -> None:
    """Adds a complete gradient to the leaf's `.grad`; a gradient of its own, shared with nobody."""
    tensor = node.owner()
    if tensor is None or not tensor._requires_grad:              # nobody asks for it any more
        return
    if g.shape != tensor.array.shape:
        raise RuntimeError(f"backward: a {node.name} had shape {g.shape} when it was used and has "
                           f"{tensor.array.shape} now, since its .data was set")
    if tensor.grad is not None:
        old = tensor.grad
        if advice.stepped:                         # only where no zero_grad() was seen
            advice.added_to(old)
        if not isinstance(old, Tensor) or old.array.shape != g.shape:
            raise TypeError(f"backward: .grad of a {node.name} was set to "
                            f"{got(old) if not isinstance(old, Tensor) else f'shape {old.shape}'}, "
                            f"want a Tensor of shape {g.shape}, or None")
        into = old.array
        if isinstance(g, Tensor) or old._requires_grad or into.dtype != g.dtype \
                or not into.flags.writeable:
            tensor.grad = old + g
        else:                                      # in its own memory, as in torch
            if g.nbytes < LARGE:
                np.add(into, g, into)
            else:
                add_into(into, g)
            record_write(into)
    elif isinstance(g, Tensor):
        tensor.grad = own_tensor(g, _TWO_CALLERS)
    else:
        free = g.base is None and g.__class__ is ndarray and sys.getrefcount(g) <= _ONE_CALLER
        tensor.grad = wrap(g if free else own(g, _TWO_CALLERS))  # written out: one call less


def own(g: Any, holders: int) -> ndarray:
    """The gradient g as its receiver may have it: writable memory that is not anybody else's.

    Rules may return g itself, a view of it, or one number repeated; all this is a copy then.
    holders: what sys.getrefcount(g) says in here if nobody but those who hand it over holds it.
    """
    return g if g.__class__ is ndarray and sys.getrefcount(g) <= holders and _free(g) \
        else np.array(g)


def own_tensor(g: Tensor, holders: int) -> Tensor:
    """The same for a gradient that was recorded: a copy in the graph."""
    array = g.array
    alone = sys.getrefcount(g) <= holders and sys.getrefcount(array) <= _ONE_TENSOR
    return g if alone and _free(array) else g.clone()


def _free(array: ndarray) -> bool:
    """Whether whoever holds an array alone may write into it."""
    return array.base is None or (
        not shares_memory(array) and array.flags.writeable and 0 not in array.strides)


def zero_gradient(x: Tensor) -> None:
    """Fills x.grad with zeros: where it stands, as in torch, unless it belongs to a graph."""
    g = x.grad
    if g is None:
        return
    if g._requires_grad or not g.array.flags.writeable:
        x.grad = wrap(np.zeros(g.array.shape, g.array.dtype))
    else:
        g.array.fill(0)
        record_write(g.array)


def _references_of_callers() -> tuple[int, int]:
    def as_own(g: ndarray, holders: int) -> int:
        return sys.getrefcount(g)

    def as_accumulate(node: Any, g: ndarray) -> int:
        return as_own(g, 0)
    g = np.zeros(2)
    return as_own(g, 0), as_accumulate(None, g)


def _references_in_one_tensor() -> int:
    g = wrap(np.zeros(2))
    array = g.array
    return sys.getrefcount(array)


def _references_of_one_local() -> int:
    g = np.zeros(2)
    return sys.getrefcount(g)


# Asked: they depend on the version of Python.
(_ONE_CALLER, _TWO_CALLERS), _ONE_LOCAL = _references_of_callers(), _references_of_one_local()
_ONE_TENSOR = _references_in_one_tensor()


# What most walks begin with. Made once: that took 0.3 us a walk. Rules write into no gradient, and
# whoever gets one gets a copy of his own.
_ONE = np.array(1, FLOAT32)
_ONE.flags.writeable = False


def _cotangent(root: Tensor, given: Any) -> Tensor | ndarray:
    if given is None:
        array = root.array
        if array.size != 1:
            raise ValueError(f"backward: a tensor of shape {root.shape} has no single gradient to "
                             "start from; reduce it (loss.mean(), loss.sum()) or pass gradient= of "
                             "that shape")
        value = array.item()
        if value != value:
            advice.loss_is_nan(_youngest_first([root.node or leaf(root)]))
        if array.ndim:
            return np.ones_like(array)
        return _ONE if array.dtype is FLOAT32 else np.array(1, array.dtype)
    g = given if isinstance(given, Tensor) else wrap(to_array(given))
    if g.shape != root.shape:
        raise ValueError(f"backward: gradient has shape {g.shape}, the tensor {root.shape}; they "
                         "must be equal")
    return g if g.dtype == root.dtype else wrap(g.array.astype(root.dtype))


def _call_hooks(node: Node, g: Any) -> Any:
    plain = not isinstance(g, Tensor)
    for hook in node.hooks or ():
        if type(hook) is not Keep:                 # which takes a copy
            g = own_tensor(g, _TWO_CALLERS) if isinstance(g, Tensor) else own(g, _TWO_CALLERS)
        new = hook(wrap(g) if not isinstance(g, Tensor) else g)
        if new is not None:
            new = new if isinstance(new, Tensor) else wrap(to_array(new))
            if new.shape != node.shape or new.dtype != node.dtype:
                raise ValueError(f"hook: the gradient is {node.dtype} of shape {node.shape}, the "
                                 f"hook returned {new.dtype} of shape {new.shape}")
            g = new
    return g.array if plain and isinstance(g, Tensor) else g


def _as_tensors(node: Node) -> tuple:
    """The saved values with the arrays that were Tensors in their old place in the graph."""
    op = cast("Op", node.op)
    links = dict(zip(op.linked, node.inputs)) if op.sequence is None else {}

    def lift(name: str, value: Any) -> Any:
        if name == op.sequence:
            return tuple(wrap(v, n) for v, n in zip(value, node.inputs))
        if name == "out":
            if op.many:
                return tuple(wrap(v, pick(node, i, v, node.where) if v.dtype.kind == "f" else None)
                             for i, v in enumerate(value))
            return wrap(value, node)
        if name in op.tensors and isinstance(value, ndarray):
            return wrap(value, links.get(name))
        return value
    return tuple(lift(name, value) for name, value in zip(op.requests, node.saved or ()))


def _freed(node: Node) -> RuntimeError:
    return RuntimeError(
        f"backward: the values that '{node.name}' ({describe(node.where)}) saved were freed by an "
        "earlier backward(). Pass retain_graph=True to that one to go through the graph twice; if "
        "a state is carried from step to step, cut it off with .detach()")


def _check_not_overwritten(node: Node, inputs: Sequence[Node | None]) -> None:
    for name, value in zip(node.op.requests, node.saved or ()):
        for i, array in enumerate(value if isinstance(value, tuple) else (value,)):
            place = writes.after(node.birth, array) if isinstance(array, ndarray) else None
            if place is not None and name in _used(cast("Op", node.op), inputs):
                op = cast("Op", node.op)
                links = node.inputs if op.sequence is not None and name == op.sequence else [
                    link for n, link in zip(op.linked, node.inputs) if n == name]
                owner = links[i] if i < len(links) else None
                called = f" ({owner.name})" if type(owner) is Leaf and owner.name != "leaf" else ""
                raise RuntimeError(
                    f"backward: '{node.name}' ({describe(node.where)}) saved {name}{called}, of "
                    f"shape {array.shape}, for its derivative, but it was overwritten in place at "
                    f"{describe(place[0])}. Write into a copy (x.clone()), or after backward()")


def _used(op: Op, inputs: Sequence[Node | None]) -> set[str]:
    """What the rules that will run ask for: x * 2 saves both, the gradient of x needs only 2."""
    used = {name for slot, _, picked in op.rules if inputs[slot] is not None
            for name in ([op.requests[picked]] if isinstance(picked, int)
                         else picked(op.requests))}
    if op.joint is not None:
        slots, _, picked = op.joint
        if slots is None:
            used.update(picked(op.requests) if any(inputs) else ())
        else:
            for slot, name in zip(slots, op.joint_names):
                if inputs[slot] is not None:
                    used |= op.read_for(name)
    return used
