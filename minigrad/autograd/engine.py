"""The engine: a Tensor remembers what made it; backward() walks these memories in reverse.

Read this file first, from top to bottom: Tensor (an array and a link to its history), Node (one
step of the history), then the reverse walk. Next: `op.py` (what an operation is) and
`ops/elementwise.py`. What is beside the idea has rooms of its own: how gradients are added and
whose memory they are (`accumulate.py`), hooks (`hooks.py`), writing in place (`inplace.py`),
tensors from data and from tensors (`construct.py`), what errors say (`diagnostics.py`), several
results of one operation (`results.py`), operations that run as one (`fusion.py`); the whole list is
in `__init__.py`. Not in this folder: any particular operation or derivative (`ops/`), any loop over
numbers (`kernels/`).
"""
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy import ndarray

from . import accumulate
from .accumulate import LARGE, ONE_CALLER, TWO_CALLERS, Gradients, own
from .construct import Data, to_array
from .diagnostics import (
    freed, no_start, not_used, nothing_recorded, refuse_overwritten, unfit_leaf,
)
from .hooks import HookHandle, call_hooks, keep_gradient
from .inplace import InPlace
from .writes import Where, describe, now, record_write, user_line, writes
from .. import advice
from ..face import ArrayFace
from ..modes import NUMPYS_ERRORS, SILENCE, settings
from ..promotion import FLOAT32

if TYPE_CHECKING:
    from .op import Op

    # The methods that are operations (x + y, x.sum(), ...): ops/__init__.py attaches them.
    from ..ops import TensorMethods
else:
    class TensorMethods:
        __slots__ = ()


# --- Tensor --------------------------------------------------------------------------------------

class Tensor(TensorMethods, InPlace, Data, ArrayFace):
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
    # Methods that are not here: shape, numpy() and the like are in face.py, become() in inplace.py,
    # data, name and copies in construct.py, x + y and x.sum() in ops/.
    # origin: (x, index), set only if this tensor is the view x[index]; see inplace.py.
    # later: set only while a fusion is being waited for; see fusion.py.
    # label: set only if the user gave the tensor a name; see name.
    __slots__ = ("array", "node", "_requires_grad", "grad", "origin", "later", "label",
                 "__weakref__")
    array: ndarray
    node: Node | None
    _requires_grad: bool
    grad: Tensor | None
    origin: tuple[Tensor, Any]
    later: Any
    label: str | None

    def __init__(self, data: Any, dtype: Any = None, requires_grad: bool = False) -> None:
        if isinstance(dtype, int):
            raise TypeError("Tensor: want data, got sizes; use minigrad.empty(2, 3) for a tensor "
                            "of that shape, minigrad.tensor([2, 3]) for these numbers")
        self.array = to_array(data, dtype, copy=True)
        self.node = self.grad = None
        self._requires_grad = False
        self.requires_grad = requires_grad

    __hash__ = object.__hash__                     # by identity: == compares the elements

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
    def grad_fn(self) -> Node | None:
        """The Node of the operation that made this tensor; None for a leaf."""
        return None if type(self.node) is Leaf else self.node

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user rather than by a recorded operation."""
        return self.grad_fn is None

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
            _walk([self], cotangents, retain_graph, create_graph)
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

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Calls hook(grad) when the gradient of this tensor is complete; it may return another.

        Returns a handle with remove(). Raises ValueError if the tensor needs no gradient.
        """
        if not self._requires_grad:
            raise ValueError("register_hook: this tensor does not require a gradient, so the hook "
                             "would never be called; set requires_grad=True first")
        return HookHandle(self.node or leaf(self), hook)

    def retain_grad(self) -> None:
        """Keeps `.grad` for this tensor although it is not a leaf."""
        keep_gradient(self)


def wrap(array: Any, node: Node | None = None) -> Tensor:
    """A Tensor around an array, which is not copied."""
    t = Tensor.__new__(Tensor)
    t.array = array if type(array) is ndarray else np.asarray(array)
    t.node = node
    t._requires_grad = node is not None
    t.grad = None
    return t


def as_tensor(x: Any) -> Tensor:
    """The Tensor itself, or one around what a user gives in its place."""
    return x if isinstance(x, Tensor) else wrap(to_array(x))


# --- Node ----------------------------------------------------------------------------------------

class Node:
    """One recorded operation: what ran, from which nodes, and what its derivative will need.

    inputs: for each differentiable argument the Node that made it, None where no gradient is
        needed.
    saved: the values that the rules asked for by name, in the order of `op.requests`; None once
        freed.
    shape, dtype: of the result; gradients are brought to them. For several results: how many, None.
    birth: its number on the engine's clock; inputs are always older than what is made of them.
    where: the line of the user's that called the operation.
    """
    __slots__ = ("op", "inputs", "saved", "shape", "dtype", "birth", "where", "hooks")

    op: Op | Place
    inputs: tuple[Node | None, ...]
    saved: tuple | None
    shape: Any
    dtype: np.dtype | None
    birth: int
    where: Where | None
    hooks: list[Callable] | None

    # No __init__: what an op records fills its node itself, which takes 0.1 us less.
    def fill(self, op: Op | Place, inputs: tuple[Node | None, ...], saved: tuple | None,
             shape: Any, dtype: np.dtype | None, where: Where | None) -> Self:
        """Sets everything, the time of birth too; returns the node."""
        self.op, self.inputs, self.saved = op, inputs, saved
        self.shape, self.dtype, self.where = shape, dtype, where
        self.birth, self.hooks = now(), None
        return self

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.op.name

    def watch(self) -> None:
        """Called before somebody may look at the gradient that arrives here; see fusion.py."""

    def __repr__(self) -> str:
        return f"<{self.name} at {describe(self.where)}>"


class Place:
    """In Node.op where a node is a place in the graph rather than an operation. It has what the
    walk asks of every op.

    pull: (g, node, inputs, saved, grads) hands the complete gradient g of the node on. For an op it
        is generated from its rules (codegen.py): it adds a gradient to `grads` for each of the
        inputs that is not None.
    keeps: whether there are arrays among the saved values, so that they are freed after use.
    lift: the saved values as Tensors in their place in the graph, for a derivative that is itself
        recorded.
    """
    keeps = False
    requests: tuple = ()

    def __init__(self, name: str, pull: Callable[..., None]) -> None:
        self.name, self.pull = name, pull

    def lift(self, node: Node) -> tuple:
        """What a place has saved is no array."""
        return node.saved or ()


class Leaf(Node):
    """Where the gradient of a tensor that the user made arrives. It holds the tensor weakly.

    where: the line that used the tensor first.
    """
    __slots__ = ("owner",)

    def __init__(self, owner: Tensor) -> None:
        self.fill(LEAF, (), (), owner.array.shape, owner.array.dtype, user_line())
        self.owner = weakref.ref(owner)

    @property
    def name(self) -> str:
        """The tensor's name, in quotes, after the word leaf."""
        tensor = self.owner()
        name = None if tensor is None else tensor.name
        return "leaf" if name is None else f"leaf {name!r}"

    def __repr__(self) -> str:
        return f"<{self.name} {self.shape}, first used at {describe(self.where)}>"


class _AtLeaves:
    """Threads that share parameters meet at the leaves only: there they take turns."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        if hasattr(os, "register_at_fork"):        # who held it is not in the child process
            os.register_at_fork(after_in_child=lambda: setattr(self, "lock", threading.RLock()))


at_leaves = _AtLeaves()


def leaf(tensor: Tensor) -> Leaf:
    """Gives a tensor that requires grad the node that its first use needs."""
    with at_leaves.lock:                           # two threads may use it first
        if tensor.node is None:
            tensor.node = Leaf(tensor)
        return cast(Leaf, tensor.node)


def _into_leaf(g: Any, node: Leaf, inputs: tuple, saved: tuple, grads: Gradients) -> None:
    """Adds a complete gradient to the leaf's `.grad`: memory of its own, shared with nobody."""
    tensor = node.owner()
    if tensor is None or not tensor._requires_grad:              # nobody asks for it any more
        return
    with at_leaves.lock:
        old, shape = tensor.grad, g.shape
        if shape != tensor.array.shape or not (
                old is None or (isinstance(old, Tensor) and old.array.shape == shape)):
            raise unfit_leaf(node, tensor, shape)
        if old is None:
            g = own(g, TWO_CALLERS)
            tensor.grad = g if isinstance(g, Tensor) else wrap(g)
            return
        if advice.stepped:                         # only where no zero_grad() was seen
            advice.added_to(old)
        into = old.array
        if isinstance(g, Tensor) or old._requires_grad or into.dtype != g.dtype \
                or not into.flags.writeable:
            tensor.grad = old + g
            return
        if g.nbytes < LARGE:                       # in its own memory, as in torch
            np.add(into, g, into)
        else:
            accumulate.add_into(into, g)
        record_write(into)


LEAF = Place("leaf", _into_leaf)


# --- the reverse walk ----------------------------------------------------------------------------
# A value that is used twice gets its gradient from both uses, and may hand it on only when both
# have arrived. A naive recursion (each node at once calls its inputs) gets this wrong:
#     a = x * 1
#     b = a * 2
#     y = a * b                                    # dy/dx = 4 x
# It walks y -> a -> x with a part of a's gradient, then y -> b -> a -> x with the rest *plus* the
# part that x has had already. So a node must wait until every node made from it is done. Nodes are
# numbered at birth, and inputs are older than what is made of them: youngest first is right.

def _walk(roots: Sequence[Tensor], cotangents: Sequence[Any] | None, retain_graph: bool | None,
          create_graph: bool, targets: Sequence[Node] | None = None,
          found: dict[Node, Any] | None = None) -> None:
    """Hands gradients back from the roots to the leaves, which add them to their `.grad`.

    Arrays flow through the rules; Tensors under create_graph, so that the same rules record the
    graph of the derivative.

    targets: go to these nodes only. found: takes the targets' gradients, and leaves get none.
    """
    retain = create_graph if retain_graph is None else retain_graph
    grads = _first_gradients(roots, cotangents, create_graph)
    order: Sequence[Node] = youngest_first(grads)
    if targets is not None:
        wanted = _leading_to(order, targets)
        order = [node for node in order if node in wanted]
    rounded = grads.rounded
    before, users = settings.grad_enabled, NUMPYS_ERRORS.get()
    settings.grad_enabled = create_graph
    # A rule may compute 0 * inf beside where() that drops it: no number of the user's is meant.
    # (What hooks compute is the user's again: there his settings hold.)
    NUMPYS_ERRORS.set(SILENCE)
    try:
        for node in order:
            g = grads.pop(node, None)
            if g is None:                          # no gradient came this way
                continue
            if rounded and node in rounded:        # a sum of float16, see accumulate.py
                g = g.astype(node.dtype)
            if node.hooks is not None:
                NUMPYS_ERRORS.set(users)
                try:
                    g = call_hooks(node, g, as_tensor)
                finally:
                    users = NUMPYS_ERRORS.get()
                    NUMPYS_ERRORS.set(SILENCE)
            inputs = node.inputs
            if targets is not None:
                inputs = tuple([link if link in wanted else None for link in inputs])
                if found is not None:
                    if node in found:
                        found[node] = g
                    if not any(inputs):            # it need not run, and may be freed
                        continue
            saved = node.saved
            if saved is None:
                raise freed(node)
            if inputs and writes.last > node.birth:              # an optimiser writes after leaves
                refuse_overwritten(node, inputs)
            op = node.op
            if create_graph:
                saved = op.lift(node)
            op.pull(g, node, inputs, saved, grads)
            if op.keeps and not retain:            # torch: what saved no numbers may be used again
                node.saved = None                  # where it leads stays known, for grad()
    finally:
        NUMPYS_ERRORS.set(users)
        settings.grad_enabled = before


def youngest_first(roots: Iterable[Node]) -> list[Node]:
    """All nodes that the roots were made from, each once, younger before older; no recursion."""
    order = list(roots)
    seen = {None, *order}                          # None: an input that needs no gradient
    for node in order:                             # which grows meanwhile
        for link in node.inputs:
            if link not in seen:
                seen.add(link)
                order.append(link)                 # type: ignore[arg-type]
    order.sort(key=_BIRTH, reverse=True)
    return order


_BIRTH = attrgetter("birth")


def _leading_to(order: Sequence[Node], targets: Iterable[Node]) -> set[Node]:
    """The nodes from which a target can be reached: only their rules need to run."""
    wanted = set(targets)
    for node in reversed(order):                   # oldest first
        if any(link in wanted for link in node.inputs):
            wanted.add(node)
    return wanted


def _first_gradients(roots: Sequence[Tensor], cotangents: Sequence[Any] | None,
                     create_graph: bool) -> Gradients:
    """Where the walk begins: the cotangents at the nodes of the roots."""
    if cotangents is not None and len(cotangents) != len(roots):
        raise ValueError(f"backward: {len(cotangents)} gradients for {len(roots)} tensors; want "
                         "one, or None, for each")
    grads = Gradients()
    for i, root in enumerate(roots):
        if not root._requires_grad:
            raise nothing_recorded()
        node = root.node or leaf(root)
        g = _cotangent(root, None if cotangents is None else cotangents[i])
        if isinstance(g, Tensor) != create_graph:
            g = g.array if isinstance(g, Tensor) else wrap(g)
        if node in grads:
            grads.add(node, g)
        else:
            grads[node] = g
    return grads


# What most walks begin with. Made once: that took 0.3 us a walk. Rules write into no gradient, and
# whoever gets one gets a copy of his own.
_ONE = np.array(1, FLOAT32)
_ONE.flags.writeable = False


def _cotangent(root: Tensor, given: Any) -> Tensor | ndarray:
    """The gradient to begin with: 1 if none is given."""
    if given is None:
        array = root.array
        if array.size != 1:
            raise no_start(root.shape)
        value = array.item()
        if value != value:
            advice.loss_is_nan(youngest_first([root.node or leaf(root)]))
        if array.ndim:
            return np.ones_like(array)
        return _ONE if array.dtype is FLOAT32 else np.array(1, array.dtype)
    g = as_tensor(given)
    if g.shape != root.shape:
        raise ValueError(f"backward: gradient has shape {g.shape}, the tensor {root.shape}; they "
                         "must be equal")
    return g if g.dtype == root.dtype else wrap(g.array.astype(root.dtype))


# --- its two entrances ---------------------------------------------------------------------------

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
    _walk(tensors, grad_tensors, retain_graph, create_graph, targets)


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
    found = dict.fromkeys(nodes)
    _walk(outputs, grad_outputs, retain_graph, create_graph, nodes, found)
    last = {node: i for i, node in enumerate(nodes)}             # an input may be given twice
    result: list[Any] = []
    for i, node in enumerate(nodes):
        g = found.pop(node) if last[node] == i else found[node]
        if g is None and not allow_unused:
            raise not_used(i, inputs[i])
        if g is not None:
            g = own(g, ONE_CALLER)
            g = g if isinstance(g, Tensor) else wrap(g)
        result.append(g)
    return tuple(result)


def _nodes_of(inputs: Sequence[Tensor], caller: str) -> list[Node]:
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x._requires_grad:
            raise ValueError(f"{caller}: input {i} does not require grad; make it a Tensor with "
                             "requires_grad=True before it is used")
    nodes = [x.node or leaf(x) for x in inputs]
    for node in nodes:
        node.watch()
    return nodes
