"""Modules that hold modules or parameters: a chain (Sequential), lists and dicts that are searched.

Items are ordinary attributes: item 2 of a list is the attribute "2", so that Module's walk finds
it. Not here: Module itself (`module.py`).
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..autograd.engine import Tensor
from ..foreign import got, named
from .conv import Conv2d, conv_relu_pool
from .module import Module, Parameter


class _Items(Module):
    """What the four list- and dict-like containers share: items are attributes of one kind."""
    _kind: type = Module

    def _items(self) -> dict[str, Any]:
        return {name: x for name, x in vars(self).items() if isinstance(x, self._kind)}

    def __len__(self) -> int:
        return len(self._items())

    def _check(self, x: Any) -> Any:
        name, kind = type(self).__name__, self._kind.__name__
        if isinstance(x, type):
            raise TypeError(f"{name}: want {kind} instances, got the class {x.__name__}; "
                            f"write {x.__name__}(...)")
        if not isinstance(x, self._kind):
            advice = ""
            if callable(x):
                advice = "; put functions into forward(), or use the layer (nn.ReLU() for relu)"
            elif isinstance(x, (list, tuple)):
                advice = "; make it a ModuleList too"
                if isinstance(self, Sequential):
                    advice = f"; unpack the list: {name}(*layers)"
            raise TypeError(f"{name}: want {kind} instances, got {got(x, advice)}")
        return x


class _ListItems(_Items):
    """Items are named "0", "1", ... without gaps."""

    def _store(self, items: Iterable[Any]) -> None:
        """Makes these the items, in this order."""
        items = [self._check(x) for x in self._listed(items)]
        for name in self._items():
            object.__delattr__(self, name)
        for i, x in enumerate(items):
            object.__setattr__(self, str(i), x)

    def _listed(self, items: Any) -> list:
        if isinstance(items, (Tensor, Mapping)) or not isinstance(items, Iterable):
            raise TypeError(f"{type(self).__name__}: want a list of {self._kind.__name__}s, got "
                            f"{named(items)}" + ("; write [x]" if isinstance(
                                items, (Tensor, Module)) else ""))
        return list(items)

    def _name_of(self, index: Any) -> str:
        names = list(self._items())
        try:
            i = index.__index__()
        except AttributeError:
            raise TypeError(f"{type(self).__name__}: the index must be an integer or a slice, got "
                            f"{type(index).__name__}") from None
        if not -len(names) <= i < len(names):
            raise IndexError(f"{type(self).__name__}: index {i} is out of range, there are "
                             f"{len(names)} items")
        return names[i]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items().values())

    def __contains__(self, x: object) -> bool:
        return any(x is item for item in self)

    def _slice(self, items: list) -> Any:
        return type(self)(items)                       # type: ignore[call-arg]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._slice(list(self)[index])
        return vars(self)[self._name_of(index)]

    def __setitem__(self, index: Any, x: Any) -> None:
        object.__setattr__(self, self._name_of(index), self._check(x))

    def __delitem__(self, index: Any) -> None:
        items = list(self)
        if not isinstance(index, slice):
            index = list(self._items()).index(self._name_of(index))
        del items[index]
        self._store(items)

    def append(self, x: Any) -> Any:
        """Adds an item at the end. Returns self."""
        object.__setattr__(self, str(len(self)), self._check(x))
        return self

    def extend(self, items: Iterable[Any]) -> Any:
        """Adds items at the end. Returns self."""
        for x in self._listed(items):
            self.append(x)
        return self

    def insert(self, index: int, x: Any) -> Any:
        """Puts an item before the one at `index`. Returns self."""
        items = list(self)
        items.insert(index, x)
        self._store(items)
        return self

    def pop(self, index: int = -1) -> Any:
        """Removes and returns the item at `index`."""
        x = self[index]
        del self[index]
        return x


class Sequential(_ListItems):
    """The layers one after the other: Sequential(a, b, c)(x) = c(b(a(x))).

    Sequential(*modules) names them "0", "1", ...; Sequential(OrderedDict(conv=..., relu=...)) or a
    plain dict gives them names. Slices are Sequentials too.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, self._check(module))
        else:
            self._store(args)

    def _slice(self, items: list) -> Sequential:
        names = {id(x): name for name, x in self._items().items()}
        named = all(str(names[id(x)]).isdecimal() for x in items)
        return Sequential(*items) if named else Sequential({names[id(x)]: x for x in items})

    def __delitem__(self, index: Any) -> None:
        names = list(self._items())
        gone = names[index] if isinstance(index, slice) else [self._name_of(index)]
        if all(name.isdecimal() for name in names):
            super().__delitem__(index)
        else:
            for name in gone:
                object.__delattr__(self, name)

    def forward(self, input: Any) -> Tensor:
        """Each module on the result of the one before it; a Conv2d, a ReLU and a MaxPool2d in a
        row as one operation (`grad_fn` says so), if nobody looks at what is between them."""
        layers = [layer for layer in vars(self).values() if isinstance(layer, Module)]
        i = 0
        while i < len(layers):
            if layers[i].__class__ is Conv2d:
                result = conv_relu_pool(layers[i:i + 3], input)
                if result is not None:
                    input = result
                    i += 3
                    continue
            input = layers[i](input)
            i += 1
        return input


class ModuleList(_ListItems):
    """A list of modules that parameters() and state_dict() see. It has no forward."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self._store(() if modules is None else modules)

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def _repr_children(self) -> list[tuple[str, str]]:
        """Equal neighbours on one line, as in torch: (0-2): 3 x Linear(...)."""
        runs: list[tuple[int, int, str]] = []
        for i, (_, text) in enumerate(super()._repr_children()):
            if runs and runs[-1][2] == text:
                runs[-1] = (runs[-1][0], i, text)
            else:
                runs.append((i, i, text))
        return [(str(a), text) if a == b else (f"{a}-{b}", f"{b - a + 1} x {text}")
                for a, b, text in runs]


class ParameterList(_ListItems):
    """A list of parameters that parameters() and state_dict() see. Tensors become Parameters."""
    _kind = Parameter

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._store(() if values is None else values)

    def _check(self, x: Any) -> Any:
        return Parameter(x) if type(x) is Tensor else super()._check(x)

    def extra_repr(self) -> str:
        """One line a parameter."""
        return "\n".join(f"({i}): Parameter of {p.dtype}, shape {p.shape}"
                         for i, p in enumerate(self))


class _DictItems(_Items):
    """Items are attributes with the names that the user gives."""

    def __getitem__(self, key: str) -> Any:
        items = self._items()
        if key not in items:
            raise KeyError(f"{type(self).__name__} has no item {key!r}; it has: "
                           f"{', '.join(items) or 'none'}")
        return items[key]

    def __setitem__(self, key: str, x: Any) -> None:
        x = self._check(x)
        if not isinstance(key, str):
            raise TypeError(f"{type(self).__name__}: keys are strings, got {type(key).__name__}")
        self._check_name(key, type(self).__name__, vars(self))
        setattr(self, key, x)

    def __delitem__(self, key: str) -> None:
        self[key]
        object.__delattr__(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __contains__(self, key: object) -> bool:
        return key in self._items()

    def keys(self) -> Iterable[str]:
        """The names, in order."""
        return self._items().keys()

    def values(self) -> Iterable[Any]:
        """The items, in order."""
        return self._items().values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """(name, item) pairs, in order."""
        return self._items().items()

    def update(self, items: Any) -> None:
        """Adds or replaces items from a mapping or from pairs."""
        pairs = list(items.items() if hasattr(items, "items") else items)
        if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
            raise TypeError(f"{type(self).__name__}: want a dict or pairs (name, "
                            f"{self._kind.__name__}), got {type(items).__name__}")
        for key, x in pairs:
            self[key] = x

    def pop(self, key: str) -> Any:
        """Removes and returns an item."""
        x = self[key]
        del self[key]
        return x

    def clear(self) -> None:
        """Removes all items."""
        for key in list(self):
            del self[key]


class ModuleDict(_DictItems):
    """A dict of modules that parameters() and state_dict() see, in the order of insertion."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        self.update({} if modules is None else modules)


class ParameterDict(_DictItems):
    """A dict of parameters that parameters() and state_dict() see. Tensors become Parameters."""
    _kind = Parameter

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self.update({} if parameters is None else parameters)

    def _check(self, x: Any) -> Any:
        return Parameter(x) if type(x) is Tensor else super()._check(x)

    def extra_repr(self) -> str:
        """One line a parameter."""
        return "\n".join(f"({k}): Parameter of {p.dtype}, shape {p.shape}" for k, p in self.items())
