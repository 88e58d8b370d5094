"""Writes the stubs (`*.pyi`) from which type checkers and editors learn what operations are.

    python tests/typing/make_stubs.py            writes them anew
    python tests/typing/make_stubs.py --check    fails if one is not up to date

An operation is a decorated function of arrays, and Tensor's methods are entries of a table; neither
mypy nor pyright nor jedi can follow either. So each file of `minigrad/ops/` that holds operations
gets a stub that says them as plain functions, with overloads (Tensors give Tensors, arrays give
arrays), and `minigrad/ops/__init__.pyi` says the methods. All is read from the signatures,
annotations and docstrings that the package has; only results whose type depends on the arguments
are stated here.
"""
from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import textwrap
import types
from pathlib import Path

import minigrad
from minigrad.autograd.op import NUMPY_NAMES

OPS_FOLDER = Path(minigrad.__file__).parent / "ops"
HEADER = "# Written by tests/typing/make_stubs.py from {}: run it again instead of editing this.\n"
NUMBER = "float | np.number"                       # what a Tensor computes with beside arrays

# Where the type of the result depends on the arguments. {0} is the first parameter.
EXTREME = ["({0}) -> Tensor",
           "({0}, dim: int, keepdim: bool = False) -> Extremes",
           "({0}, *, axis: int, keepdims: bool = False) -> Extremes",
           "({0}, other: Tensor) -> Tensor"]
OVERLOADS = {
    "max": EXTREME, "min": EXTREME,
    "nonzero": ["({0}, as_tuple: Literal[False] = False) -> Tensor",
                "({0}, as_tuple: Literal[True]) -> tuple[Tensor, ...]"],
}
TENSOR_ONLY = re.compile(r"\bExtremes\b")          # results that are typed as Tensors only


# --- one signature -------------------------------------------------------------------------------

def annotation(hint) -> str:
    return "Any" if hint is inspect.Parameter.empty else str(hint)


def default_text(value) -> str:
    if value is None or isinstance(value, (bool, int, str)) or (
            isinstance(value, float) and value == value and abs(value) != float("inf")):
        return repr(value)
    return "..."


def parameter(p: inspect.Parameter, hint: str, required: bool = False) -> str:
    star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
    text = f"{star}{p.name}: {hint}" if hint else f"{star}{p.name}"
    return text if p.default is p.empty or required else f"{text} = {default_text(p.default)}"


def joined(parameters: list[tuple[inspect.Parameter, str]]) -> str:
    """The parameters as text, with the star before those that are given by name."""
    parts, starred = [], False
    for p, text in parameters:
        if p.kind is p.VAR_POSITIONAL:
            starred = True
        elif p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        parts.append(text)
    return ", ".join(parts)


def tensor_kind(p: inspect.Parameter) -> str:
    """How an argument of an operation takes Tensors: "", "one", "number", "optional", "several"."""
    hint = annotation(p.annotation)
    if "Tensor" not in hint:
        return ""
    if "Sequence[" in hint:
        return "several"
    if "None" in hint or p.default is not p.empty:
        return "optional"
    return "number" if re.search(r"\b(float|int)\b", hint) else "one"


def as_any(kind: str) -> str:
    """What may stand beside a Tensor."""
    return {"one": "Tensor | ndarray", "number": f"Tensor | ndarray | {NUMBER}",
            "optional": "Tensor | ndarray | None", "several": "Sequence[Tensor]"}[kind]


def as_arrays(kind: str) -> str:
    return {"one": "ndarray", "number": f"ndarray | {NUMBER}", "optional": "ndarray | None",
            "several": "Sequence[ndarray]"}[kind]


def with_aliases(parameters: list[inspect.Parameter], hints: dict[str, str]
                 ) -> list[inspect.Parameter]:
    """NumPy's names for dim and keepdim, as options with a None of their own."""
    new = []
    for p in parameters:
        alias = NUMPY_NAMES.get(p.name)
        if alias and p.default is not p.empty:
            new.append(inspect.Parameter(alias, p.KEYWORD_ONLY, default=None))
            hint = hints[p.name]
            hints[alias] = hint if "None" in hint or hint == "Dim" else f"{hint} | None"
    at = next((i for i, p in enumerate(parameters) if p.kind is p.VAR_KEYWORD), len(parameters))
    return parameters[:at] + new + parameters[at:]


def function_overloads(signature: inspect.Signature) -> list[str]:
    """The overloads of an operation: at least one Tensor gives Tensors, arrays give arrays."""
    parameters = list(signature.parameters.values())
    hints = {p.name: annotation(p.annotation) for p in parameters}
    kinds = {p.name: tensor_kind(p) for p in parameters}
    parameters = with_aliases(parameters, hints)
    deciding = [n for n, k in kinds.items() if k in ("one", "number", "several")]
    result = annotation(signature.return_annotation)

    def text(chosen: dict[str, str], result: str) -> str:
        shown = {**hints, **{n: as_any(k) for n, k in kinds.items() if k}, **chosen}
        return f"({joined([(p, parameter(p, shown[p.name])) for p in parameters])}) -> {result}"

    every = []
    for i, name in enumerate(deciding):
        chosen = {n: as_arrays(kinds[n]) for n in deciding[:i]}
        chosen[name] = "Sequence[Tensor]" if kinds[name] == "several" else "Tensor"
        every.append(text(chosen, result))
    if not TENSOR_ONLY.search(result):
        arrays = {n: as_arrays(k) for n, k in kinds.items() if k}
        every.append(text(arrays, re.sub(r"\bTensor\b", "ndarray", result)))
    return every


def method_text(signature: inspect.Signature, result: str | None = None) -> str:
    """The signature of a method of Tensor that calls a function."""
    first, *others = signature.parameters.values()
    hints = {p.name: as_any(tensor_kind(p)) if tensor_kind(p) else annotation(p.annotation)
             for p in others}
    parameters = with_aliases(others, hints)
    me = inspect.Parameter("self", first.POSITIONAL_ONLY)
    shown = [(me, "self"), *((p, parameter(p, hints[p.name])) for p in parameters)]
    return f"({joined(shown)}) -> {result or annotation(signature.return_annotation)}"


def definition(name: str, signatures: list[str], doc: str | None, indent: str = "",
               ignore: str = "") -> str:
    """`def` lines, overloaded if there are several; the docstring stands in the first."""
    text = ""
    for i, signature in enumerate(signatures):
        if len(signatures) > 1:
            text += f"{indent}@overload\n"
        text += f"{indent}def {name}{signature}:{ignore}"
        text += docstring(doc, indent + "    ") if i == 0 and doc else " ...\n"
    return text


def docstring(doc: str, indent: str) -> str:
    doc = inspect.cleandoc(doc)
    quote = 'r"""' if "\\" in doc else '"""'
    body = textwrap.indent(doc, indent).lstrip()
    end = "" if "\n" not in doc else f"\n{indent}"
    return f"\n{indent}{quote}{body}{end}\"\"\"\n"


# --- a file of operations ------------------------------------------------------------------------

def module_stub(path: Path) -> str | None:
    """The stub of a file in ops/, None if it holds no operations."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not any(is_op(node) for node in tree.body):
        return None
    module = importlib.import_module(f"minigrad.ops.{path.stem}")
    parts = [text for node in tree.body if (text := statement(node, module))]
    parts = [*re_exports(tree), *parts]
    body = "\n".join(parts)
    return head(tree, body, path) + "\n" + body


def re_exports(tree: ast.Module) -> list[str]:
    """Names that the file passes on, `import x as x`."""
    lines = [f"from {'.' * node.level}{node.module or ''} import {a.name} as {a.asname}"
             for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names
             if a.asname == a.name]
    return ["\n".join(lines) + "\n"] if lines else []


def is_op(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(d, ast.Call) and ast.unparse(d.func) in (
            "op", "composite", "pointwise", "binary", "comparison")
        for d in node.decorator_list)


def statement(node: ast.stmt, module) -> str:
    """What the stub says of a statement of the file."""
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
        function = getattr(module, node.name)
        if is_op(node):
            first = next(iter(function.op.parameters))
            signatures = [o.format(f"{first}: Tensor") for o in OVERLOADS.get(node.name, [])] \
                or function_overloads(inspect.signature(function))
            return definition(node.name, signatures, function.__doc__)
        return plain_function(node)
    if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
        return class_stub(node)
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) \
            and not node.targets[0].id.startswith("_"):
        name = node.targets[0].id
        value = getattr(module, name)
        if isinstance(value, (type, types.UnionType, types.GenericAlias)):
            return f"{name} = {ast.unparse(node.value)}\n"
        kind = type(value).__name__ if type(value) in (int, float, str, bool) else "Any"
        return f"{name}: {kind}\n"
    return ""


def plain_function(node: ast.FunctionDef, indent: str = "") -> str:
    """A function that is no operation, with what is not annotated as Any."""
    for i, argument in enumerate([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs,
                                  *filter(None, (node.args.vararg, node.args.kwarg))]):
        if argument.annotation is None and not (indent and i == 0):
            argument.annotation = ast.Name("Any")
    for values in (node.args.defaults, node.args.kw_defaults):
        values[:] = [v if v is None or isinstance(v, ast.Constant) else ast.Constant(...)
                     for v in values]
    result = ast.unparse(node.returns) if node.returns else "Any"
    marks = "".join(f"{indent}@{ast.unparse(d)}\n" for d in node.decorator_list)
    return marks + definition(node.name, [f"({ast.unparse(node.args)}) -> {result}"],
                              ast.get_docstring(node), indent)


def class_stub(node: ast.ClassDef) -> str:
    bases = ", ".join(map(ast.unparse, node.bases))
    lines = [f"class {node.name}{f'({bases})' if bases else ''}:"]
    if doc := ast.get_docstring(node):
        lines[0] += docstring(doc, "    ").rstrip("\n")
    for item in node.body:
        if isinstance(item, ast.AnnAssign):
            lines.append(f"    {ast.unparse(item.target)}: {ast.unparse(item.annotation)}")
        elif isinstance(item, ast.FunctionDef) and (
                not item.name.startswith("_") or item.name.startswith("__")):
            lines.append(plain_function(item, "    ").rstrip("\n"))
    return "\n".join(lines) + "\n"


def head(tree: ast.Module, body: str, path: Path) -> str:
    """The imports that the text needs: the file's own, and those that generated text needs."""
    words = set(re.findall(r"\b[A-Za-z_]\w*\b", re.sub(r'"""[\s\S]*?"""', "", body)))
    known = {"Any": "typing", "Literal": "typing", "overload": "typing",
             "Sequence": "collections.abc", "ndarray": "numpy", "Tensor": "..autograd.engine"}
    wanted: dict[str, set[str]] = {}
    lines = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for alias in node.names:
                name = alias.asname or alias.name
                if name in words and name not in known and alias.asname != alias.name:
                    origin = "." * node.level + (node.module or "")
                    wanted.setdefault(origin, set()).add(
                        alias.name if not alias.asname else f"{alias.name} as {alias.asname}")
        elif isinstance(node, ast.Import):
            lines += [f"import {a.name}" + (f" as {a.asname}" if a.asname else "")
                      for a in node.names if (a.asname or a.name) in words]
    if "np" in words and "import numpy as np" not in lines:
        lines.append("import numpy as np")
    for name, origin in known.items():
        if name in words:
            wanted.setdefault(origin, set()).add(name)
    lines += [f"from {origin} import {', '.join(sorted(names))}"
              for origin, names in sorted(wanted.items(), key=lambda w: (w[0][0] == ".", w[0]))]
    return HEADER.format(path.name) + "\n".join(lines) + "\n"


# --- the methods ---------------------------------------------------------------------------------

# A method called float hides the class of that name from the annotations of its neighbours.
HIDDEN = ("float", "int", "bool")


def methods_stub() -> str:
    """minigrad/ops/__init__.pyi: the table of Tensor's methods as a class of plain methods."""
    from minigrad.ops import TensorMethods
    from minigrad.ops.inplace import InPlaceMethods

    body = ""
    for name, method in {**vars(InPlaceMethods), **vars(TensorMethods)}.items():
        if name in ("__module__", "__doc__", "__slots__", "__qualname__", "__hash__",
                    "__static_attributes__", "__firstlineno__"):
            continue
        body += one_method(name, method)
    for name in HIDDEN:
        body = re.sub(rf"(?<![\w.])(?<!def ){name}\b(?=[^\"\n]*:(?: \.\.\.)?(?:  #.*)?$)",
                      f"_{name}", body, flags=re.M)
    names = sorted({*re.findall(r"\b(?:Generator|Extremes|Dim)\b", body)})
    homes = {"Generator": "random", "Extremes": "order", "Dim": "dims"}
    files = sorted(p.stem for p in OPS_FOLDER.glob("*.py") if p.stem != "__init__")
    lines = [HEADER.format("__init__.py and the tables of methods") + "import builtins",
             "from collections.abc import Sequence",
             "from typing import Any, Literal, TypeVar, overload", "", "import numpy as np",
             "from numpy import ndarray", "", "from ..autograd.engine import Tensor",
             *(f"from . import {name} as {name}" for name in files),
             *(f"from .{homes[name]} import {name}" for name in names), "",
             *(f"_{name} = builtins.{name}" for name in HIDDEN),
             'Itself = TypeVar("Itself", bound=TensorMethods)', "", "",
             "class TensorMethods:",
             '    """Tensor\'s operators and methods that are operations. x.exp() is exp(x)."""']
    return "\n".join(lines) + "\n" + body


def one_method(name: str, method) -> str:
    if isinstance(method, property):
        doc = method.__doc__ or ""
        return "    @property\n" + definition(name, ["(self) -> Tensor"], doc, "    ")
    # What is done in place returns the tensor itself. (jedi would take Self for TensorMethods.)
    result = "Itself" if (name.endswith("_") and not name.endswith("__")) or re.match(
        "__i(?!nvert)", name) else None
    if name in OVERLOADS:
        signatures = [o.format("self") for o in OVERLOADS[name]]
    else:
        signatures = [method_text(inspect.signature(method), result)]
    doc = None if name.startswith("__") else method.__doc__
    ignore = "  # type: ignore[override]" if name in ("__eq__", "__ne__") else ""
    if result:
        signatures = [s.replace("(self", "(self: Itself", 1) for s in signatures]
    text = definition(name, signatures, doc, "    ")
    return text.replace(": ...\n", f": ...{ignore}\n") if ignore else text


# --- all of them ---------------------------------------------------------------------------------

def stubs() -> dict[Path, str]:
    """What every stub should be."""
    found = {OPS_FOLDER / "__init__.pyi": methods_stub()}
    for path in sorted(OPS_FOLDER.glob("*.py")):
        text = module_stub(path)
        if text is not None:
            found[path.with_suffix(".pyi")] = text
    return found


def stale() -> list[str]:
    """The stubs that are not what they should be, or should not be there."""
    wanted = stubs()
    there = {*OPS_FOLDER.glob("*.pyi")}
    wrong = [p for p, text in wanted.items()
             if p not in there or p.read_text(encoding="utf-8") != text]
    return sorted(p.name for p in {*wrong, *(there - wanted.keys())})


def main() -> None:
    if "--check" in sys.argv:
        wrong = stale()
        sys.exit(f"not up to date: {', '.join(wrong)}" if wrong else 0)
    wanted = stubs()
    for path in {*OPS_FOLDER.glob("*.pyi")} - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    print(f"{len(wanted)} stubs, {sum(map(len, wanted.values())):,} characters")


if __name__ == "__main__":
    main()
