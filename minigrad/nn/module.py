"""A Module is an object that finds the Parameters and Modules among its attributes by looking.

Nothing is registered: `parameters()` walks `vars(self)`, so whatever is assigned later counts, and
whatever is deleted is gone. Not here: any layer (the other files of `nn/`), any derivative
(`ops/`).
"""
from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter as Parameter_, Signature
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar

import numpy as np
from numpy import ndarray

from ..autograd.construct import to_array
from ..autograd.engine import Leaf, Tensor, wrap
from ..autograd.inplace import zero_gradient
from ..foreign import got, named
from ..modes import settings
from ..promotion import dtype_named
from ..autograd.writes import record_write
from .misuse import refuse_inputs

M = TypeVar("M", bound="Module")
P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class _HasForward(Protocol[P, R]):
    """What a module is to whoever calls it."""

    def forward(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the module computes."""


class Parameter(Tensor):
    """A Tensor that a Module learns: it requires grad, and `parameters()` finds it.

    Parameter(data, requires_grad=True). A Tensor given as `data` shares its memory with the
    Parameter (as in torch); everything else is copied.
    """
    __slots__ = ()

    def __init__(self, data: Any = (), requires_grad: bool = True) -> None:
        self.array = data.array if isinstance(data, Tensor) else to_array(data, copy=True)
        self.node = self.grad = None
        self._requires_grad = False
        self.requires_grad = requires_grad

    @property
    def name(self) -> str | None:
        """The name that it was given, else its path in the outermost module that holds it, such as
        "layers.0.weight"; None if no module does."""
        given = super().name
        return _path_of(self) if given is None else given

    @name.setter
    def name(self, name: str | None) -> None:
        Tensor.name.fset(self, name)                             # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


def new_parameter(*shape: int, dtype: Any = None) -> Parameter:
    """A Parameter that is still to be initialised (it holds zeros), of the default dtype."""
    dtype = settings.default_dtype if dtype is None else dtype_named("dtype", dtype)
    if dtype.kind != "f":
        raise TypeError(f"dtype: parameters are floats, got {dtype}; use float32 or float64")
    return Parameter(wrap(np.zeros(shape, dtype)))


def positive(layer: str, **sizes: Any) -> list[int]:
    """The sizes as ints. Raises ValueError or TypeError for what is not a positive integer."""
    for name, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{layer}: {name} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{layer}: {name} must be at least 1, got {value}")
    return [int(v) for v in sizes.values()]


#: The modules that there are. Only messages ask, so that nothing need be kept up to date.
_modules: weakref.WeakValueDictionary[int, Module] = weakref.WeakValueDictionary()


def _path_of(parameter: Parameter) -> str | None:
    modules = [m for ref in _modules.valuerefs() if (m := ref()) is not None]
    path = next(((m, [n]) for m in modules for n, p in m._own_parameters() if p is parameter), None)
    if path is None:
        return None
    module, names = path
    above = {module}
    while True:
        parent = next(((m, n) for m in modules if m not in above
                       for n, child in m._children() if child is module), None)
        if parent is None:
            return ".".join(reversed(names))
        module, name = parent
        above.add(module)
        names.append(name)


class IncompatibleKeys(NamedTuple):
    """What load_state_dict could not match; both lists are empty when all went well."""
    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (f"IncompatibleKeys(missing_keys={self.missing_keys}, "
                f"unexpected_keys={self.unexpected_keys})")


class ForwardHookHandle:
    """Returned by register_forward_hook: remove() takes the hook away again."""

    def __init__(self, hooks: dict[int, Callable], hook: Callable) -> None:
        self.hooks, self.key = hooks, max(hooks, default=0) + 1
        hooks[self.key] = hook

    def remove(self) -> None:
        """Removes the hook; a second call does nothing."""
        self.hooks.pop(self.key, None)


class Module:
    """The parent of all layers and models: write __init__ (assign layers) and forward (use them).

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(4, 2)

            def forward(self, x):
                return self.fc(x).relu()

    `net(x)` calls forward. Parameters and modules in plain lists, tuples or dicts would be missed
    by an optimiser without a word, so they are an error that names nn.ModuleList.
    """
    # Class attributes are the initial state, so that a forgotten super().__init__() does no harm.
    training: bool = True
    _buffer_names: Mapping[str, bool] = {}             # name -> is it stored in state_dict
    _forward_hooks: dict[int, Callable] | None = None

    if not TYPE_CHECKING:                              # for editors __init__ says what is wanted
        def __new__(cls, *args, **kwargs):
            if args or kwargs:
                refuse_inputs(cls, args, kwargs)
            self = object.__new__(cls)
            _modules[id(self)] = self                  # also one that is copied or unpickled
            return self

        # What help() shows of classes that have no __init__ of their own.
        __new__.__signature__ = Signature([Parameter_("cls", Parameter_.POSITIONAL_ONLY)])

    def __init__(self) -> None:
        """Needs nothing; subclasses may call it, as is usual, or not."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(self, ...) method; define "
                                  "what the module computes there")

    # Calling a module has the arguments and the result of its own forward. mypy and pyright see the
    # first definition. jedi knows no ParamSpec, and cannot tell that the second condition is true:
    # it sees both, and needs the second without annotations, or it would not look at `forward`.
    if TYPE_CHECKING and sys.version_info[0] >= 3:
        def __call__(self: _HasForward[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
            """The result of forward."""
            return self.forward(*args, **kwargs)
    else:
        def __call__(self, *args, **kwargs):
            try:
                result = self.forward(*args, **kwargs)
            except (ValueError, TypeError) as error:   # entering `try` costs nothing
                _note_layer(self, error)
                raise
            if self._forward_hooks:
                for hook in list(self._forward_hooks.values()):
                    changed = hook(self, args, result)
                    result = result if changed is None else changed
            return result

    def register_forward_hook(self, hook: Callable[[Any, tuple, Any], Any]) -> ForwardHookHandle:
        """Calls hook(module, args, result) after each forward; what it returns, if not None,
        replaces the result. Returns a handle with remove()."""
        if self._forward_hooks is None:
            self._forward_hooks = {}
        return ForwardHookHandle(self._forward_hooks, hook)

    # what it is made of

    def __setattr__(self, name: str, value: Any) -> None:
        # torch's guard: `model.weight = tensor` would quietly take the weight out of parameters().
        old = self.__dict__.get(name)
        if isinstance(old, (Parameter, Module)) and value is not None \
                and not isinstance(value, Parameter if isinstance(old, Parameter) else Module):
            kind = "Parameter" if isinstance(old, Parameter) else "Module"
            advice = ("wrap it, nn.Parameter(x), or write into it under no_grad(): "
                      f"{name}.copy_(x)") if kind == "Parameter" else "delete the attribute first"
            raise TypeError(f"{type(self).__name__}.{name} is a {kind}, it cannot be replaced by a "
                            f"{got(value, f'; {advice}')}")
        object.__setattr__(self, name, value)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of each module that is an attribute, without None and repetitions."""
        seen: set[Module] = set()
        for name, child in self._children():
            if child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """Each module that is an attribute."""
        return (child for _, child in self.named_children())

    def _children(self) -> Iterator[tuple[str, Module]]:
        return ((name, x) for name, x in list(vars(self).items()) if isinstance(x, Module))

    def _tree(self, prefix: str = "", once: bool = True) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module and all below, parents first; no recursion.

        once: a module that is found twice counts where it is found first.
        """
        stack: list[tuple[str, Module, tuple[Module, ...]]] = [(prefix, self, ())]
        seen: set[Module] = set()
        while stack:
            path, module, above = stack.pop()
            if (once and module in seen) or module in above:     # a child may refer to its parent
                continue
            seen.add(module)
            yield path, module
            inner = () if once else (*above, module)
            stack += [(f"{path}.{name}" if path else name, child, inner)
                      for name, child in module._children()][::-1]

    def named_modules(self, memo: set | None = None, prefix: str = "", remove_duplicate: bool = True
                      ) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module (its path is "") and all below it, parents first.

        memo: modules to leave out. remove_duplicate: list a module that occurs twice only once.
        """
        return ((path, module) for path, module in self._tree(prefix, remove_duplicate)
                if memo is None or module not in memo)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self._tree())

    def get_submodule(self, target: str) -> Module:
        """The module with this path, such as "body.0". Raises AttributeError for none."""
        module: Any = self
        for name in target.split(".") if target else []:
            found = vars(module).get(name)
            if not isinstance(found, Module):
                names = ", ".join(n for n, _ in module._children()) or "none"
                raise AttributeError(f"{type(module).__name__} has no module '{name}' (of "
                                     f"'{target}'); it has: {names}")
            module = found
        return module

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
                         ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter): this module's own, then those of its modules; shared ones once.

        Raises: ValueError if modules or parameters hide in plain lists, tuples or dicts.
        """
        return iter(self._members(Parameter, prefix, recurse, remove_duplicate))

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters in the order of named_parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
                      ) -> Iterator[tuple[str, Tensor]]:
        """(path, tensor) of everything given to register_buffer."""
        return iter(self._members(None, prefix, recurse, remove_duplicate))

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers in the order of named_buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def _members(self, kind: type | None, prefix: str, recurse: bool, once: bool) -> list:
        found: dict[Any, Any] = {}
        tree = list(self._tree(prefix, once)) if recurse else [(prefix, self)]
        for path, module in tree:
            dot = f"{path}." if path else ""
            own = module._own_parameters() if kind else module._own_buffers()
            for name, x in own:
                found.setdefault(id(x) if once else dot + name, (dot + name, x))
        if kind and recurse:
            _refuse_hidden(tree)
        return list(found.values())

    def _own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        return ((name, x) for name, x in vars(self).items() if isinstance(x, Parameter))

    def _own_buffers(self) -> Iterator[tuple[str, Tensor]]:
        own = vars(self)
        return ((name, own[name]) for name in self._buffer_names if own.get(name) is not None)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Makes `tensor` the attribute `name`: state that is not learned, such as a running mean.

        persistent: whether state_dict() stores it. None keeps the place free.

        Raises: TypeError if it is not a Tensor; ValueError if the attribute exists.
        """
        if tensor is not None and (not isinstance(tensor, Tensor) or isinstance(tensor, Parameter)):
            raise TypeError(f"register_buffer: want a Tensor or None for '{name}', got "
                            f"{got(tensor)}")
        self._check_name(name, "register_buffer", self._buffer_names)
        object.__setattr__(self, "_buffer_names", {**self._buffer_names, name: persistent})
        object.__setattr__(self, name, tensor)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as `self.name = param`, for names that are computed."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter: want a Parameter or None for '{name}', got "
                            f"{got(param, '; wrap it: nn.Parameter(x)')}")
        self._check_name(name, "register_parameter", vars(self))
        setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as `self.name = module`, for names that are computed."""
        if module is not None and not isinstance(module, Module):
            kind = f"the class {module.__name__}" if isinstance(module, type) else \
                named(module)
            raise TypeError(f"add_module: '{name}' must be a Module, got {kind}"
                            + ("; make an instance: add ()" if isinstance(module, type) else ""))
        self._check_name(name, "add_module", vars(self))
        setattr(self, name, module)

    def _check_name(self, name: str, caller: str, replaceable: Any) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{caller}: the name must be a string, got {type(name).__name__}")
        if name == "" or "." in name:
            raise ValueError(f"{caller}: '{name}' is no name for a part of a module: it must not "
                             "be empty or contain '.', which separates names in state_dict()")
        if hasattr(self, name) and name not in replaceable:
            raise ValueError(f"{caller}: {type(self).__name__} already has an attribute '{name}'; "
                             "choose another name")

    # storing and loading

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """{path: tensor} of all parameters and stored buffers; they share memory with the module.

        keep_vars: give the Parameters themselves instead of detached tensors.
        """
        state: dict[str, Any] = {}
        tree = list(self._tree(once=False))
        _refuse_hidden(tree)
        for path, module in tree:
            dot = f"{prefix}{path}." if path else prefix
            stored = [(n, b) for n, b in module._own_buffers() if module._buffer_names[n]]
            for name, x in (*module._own_parameters(), *stored):
                state[dot + name] = x if keep_vars else x.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True
                        ) -> IncompatibleKeys:
        """Copies values into parameters and buffers, in place: optimisers keep their references.

        strict: the keys must be exactly those of state_dict(). Values: Tensors or arrays.
        Returns (missing_keys, unexpected_keys).

        Raises: ValueError that lists everything that does not fit; nothing is changed then.
        """
        if not isinstance(state_dict, Mapping):
            advice = "; pass model.state_dict()" if isinstance(state_dict, Module) else ""
            raise TypeError(f"load_state_dict: want a dict of names and tensors, got "
                            f"{named(state_dict)}{advice}")
        own = self.state_dict()
        missing = [k for k in own if k not in state_dict]
        unexpected = [k for k in state_dict if k not in own]
        copies: list[tuple[ndarray, ndarray]] = []
        problems = []
        if strict and missing:
            problems.append(f"missing keys: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected keys: {', '.join(unexpected)}")
        for name, x in own.items():
            if name not in state_dict:
                continue
            given = state_dict[name]
            array = given.array if isinstance(given, Tensor) else given
            if not isinstance(array, (ndarray, np.generic)):
                problems.append(f"{name}: want a Tensor or array, got {got(given)}")
            elif np.shape(array) != x.shape:
                problems.append(f"{name}: has shape {np.shape(array)}, the model's is {x.shape}")
            elif not np.can_cast(array.dtype, x.dtype, "same_kind"):
                problems.append(f"{name}: {array.dtype} values do not fit the model's {x.dtype}")
            else:
                copies.append((x.array, np.asarray(array)))
        if problems:
            lines = "\n  ".join(problems)
            hint = "\nPass strict=False to load what fits by name." \
                if strict and (missing or unexpected) else ""
            raise ValueError(f"load_state_dict: {type(self).__name__} cannot load this state, "
                             f"nothing was changed:\n  {lines}{hint}")
        for target, source in copies:
            np.copyto(target, source, casting="same_kind")
        if copies:
            record_write(*(target for target, _ in copies))
        return IncompatibleKeys(missing, unexpected)

    # what happens to all of it

    def train(self: M, mode: bool = True) -> M:
        """Sets `training` here and below: Dropout drops. Returns self."""
        if not isinstance(mode, bool):
            raise TypeError(f"train: mode must be True or False, got {type(mode).__name__}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Clears `training` here and below: Dropout passes everything on. Returns self."""
        return self.train(False)

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Calls fn(module) for each module, children before parents, for example to initialise."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters, or fills them with zeros."""
        for p in self.parameters():
            if set_to_none:
                p.grad = None
            else:
                zero_gradient(p)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freezes (False) or unfreezes all parameters. Returns self."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def to(self: M, *args: Any, dtype: Any = None, device: Any = None) -> M:
        """Converts floating parameters, buffers and gradients to a dtype, in place. Returns self.

        to(dtype), to(device), to(device, dtype): the only device is "cpu".
        """
        for arg in args:
            if isinstance(arg, Tensor):
                dtype = arg.dtype
            elif isinstance(arg, str) and not arg.startswith(("float", "f4", "f8")):
                device = arg
            else:
                dtype = arg
        if device is not None and str(device) != "cpu":
            raise ValueError(f"to: there is no device '{device}', minigrad computes on the 'cpu'")
        if dtype is None:
            return self
        dtype = dtype_named("to", dtype)
        if dtype.kind != "f":
            raise TypeError(f"to: parameters are floats, they cannot become {dtype}; "
                            "use float32 or float64")
        for x in (*self.parameters(), *self.buffers()):
            if x.array.dtype.kind == "f" and x.array.dtype != dtype:
                x.replace_array(x.array.astype(dtype))
                if x.grad is not None:
                    x.grad = wrap(x.grad.array.astype(dtype))
        return self

    def float(self: M) -> M:
        """Converts parameters and buffers to float32. Returns self."""
        return self.to(np.float32)

    def double(self: M) -> M:
        """Converts parameters and buffers to float64. Returns self."""
        return self.to(np.float64)

    def cpu(self: M) -> M:
        """Returns self: everything is there already."""
        return self

    # printing

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr; subclasses define it."""
        return ""

    def _repr_children(self) -> list[tuple[str, str]]:
        return [(name, repr(child)) for name, child in self._children()]

    def __repr__(self) -> str:
        extra, children = self.extra_repr(), self._repr_children()
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = extra.splitlines()
        lines += [f"({name}): " + text.replace("\n", "\n  ") for name, text in children]
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _refuse_hidden(tree: list[tuple[str, Module]]) -> None:
    """Raises if a plain container holds a module or parameter that is nowhere else."""
    hidden: list[tuple[str, str, Any]] = []
    for path, module in tree:
        for name, value in vars(module).items():
            if isinstance(value, (list, tuple, dict, set)) and name != "_forward_hooks":
                hidden += [(f"{path}.{name}" if path else name, type(value).__name__, x)
                           for x in _parts(value)]
            elif type(value) is Tensor and value._requires_grad and value.node.__class__ in \
                    (Leaf, type(None)) and name not in module._buffer_names:
                at = f"{path}.{name}" if path else name
                warnings.warn(f"'{at}' is a Tensor that requires grad but not a Parameter, so "
                              "parameters() leaves it out; if it is to be learned, wrap it: "
                              "nn.Parameter(x)",
                              stacklevel=5)
    if not hidden:
        return
    known = {id(module) for _, module in tree}
    known |= {id(p) for _, module in tree for _, p in module._own_parameters()}
    for at, kind, x in hidden:
        if id(x) not in known:
            what, proper = ("Parameter", "Parameter") if isinstance(x, Parameter) else \
                (type(x).__name__, "Module")
            proper += "Dict" if kind == "dict" else "List"
            raise ValueError(f"'{at}' is a plain {kind} with a {what} in it, which parameters() "
                             f"and state_dict() cannot find; make it nn.{proper}(...)")


def _parts(value: Any, depth: int = 3) -> Iterator[Any]:
    """Modules and parameters in a plain container; of a long one the first 100 items tell."""
    items = value.values() if isinstance(value, dict) else value
    for _, x in zip(range(100), items):
        if isinstance(x, (Module, Parameter)):
            yield x
        elif depth and isinstance(x, (list, tuple, dict)):
            yield from _parts(x, depth - 1)


def _note_layer(module: Module, error: Exception) -> None:
    """Adds to an error in which layer it arose: 'in layer features.0: Conv2d(1, 32, ...)'.

    Called once in each module on the way up; each extends the path by its own part.
    """
    state = getattr(error, "_layer", None)
    notes = getattr(error, "__notes__", [])
    if state is None:
        head = type(module).__name__ + f"({module.extra_repr()})"
        state = module, "", head, ""
    else:
        inner, path, head, note = state
        step = next((p for p, m in module._tree() if m is inner and p), None)
        if step is None:                               # not one of ours: a module made on the fly
            return
        if note in notes:
            notes.remove(note)
        state = module, f"{step}.{path}" if path else step, head, note
    note = f"in {state[2]}" if not state[1] else \
        f"in layer {state[1]} of {type(module).__name__}: {state[2]}"
    error.add_note(note)
    error._layer = (*state[:3], note)                  # type: ignore[attr-defined]
