"""Train the article's three programs from fixed weights on fixed data, under any namespace.

`programs/` holds the article's source with only its imports changed.  It leaves the data and the
loop of two programs open; this file fills them in.  Weights and data are drawn from NumPy's
frozen RandomState stream (see `harness.rng_for`), so that nothing big needs storing.
Shared by `make_vectors.py` and `tests/test_article.py`.
"""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from harness import HERE, default_dtype, rng_for, uniform

STEPS = 200
PROGRAMS = ("linear_regression", "cnn", "rnn")
DTYPES = ("float64", "float32")

# Which draw of weights and data.  Chosen because training is calm there: with most draws of the
# CNN, a hidden unit or a pooling window passes so close to its kink that the last bit of a float32
# decides its gradient, and torch itself then moves by 1e-3.  With these, 20 disturbances of the
# initial weights by 1e-7 moved torch's float32 losses by less than 1e-5 (the limit is 1e-4).
DRAW = {"linear_regression": 5, "cnn": 3, "rnn": 0}


def source(program: str) -> str:
    """The text of a program."""
    return (HERE / "programs" / f"{program}.py").read_text(encoding="utf-8")


def run_source(program: str, namespace: str, dtype: str) -> tuple[dict[str, Any], str]:
    """Execute a program: its variables and what it printed.

    The linear regression writes `dtype=torch.float32` at its data; its float64 run needs that
    one word changed too.
    """
    text = source(program).replace("import minigrad", f"import {namespace}")
    text = text.replace("torch.float32", f"torch.{dtype}")
    variables: dict[str, Any] = {"__name__": program}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, f"{program}.py", "exec"), variables)
    return variables, printed.getvalue()


def weights(program: str, shapes: dict[str, tuple[int, ...]], dtype: str) -> dict[str, np.ndarray]:
    """Initial parameters: uniform in +-1/sqrt(fan_in), torch's law for these layers."""
    rng = rng_for(f"weights of {program} {DRAW[program]}")
    drawn = {}
    bound = 1.0
    for name, shape in shapes.items():
        if len(shape) > 1:
            fan_in = 128 if name.startswith("rnn") else int(np.prod(shape[1:]))
            bound = fan_in**-0.5  # a bias follows its weight and takes the same bound
        drawn[name] = uniform(rng, shape, -bound, bound).astype(dtype)
    return drawn


def batches(program: str, dtype: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The batches that the training loop goes round: (inputs, labels)."""
    rng = rng_for(f"data of {program} {DRAW[program]}")
    if program == "linear_regression":
        x = np.array([[1.0], [2.0], [3.0], [4.0]])
        return [(x.astype(dtype), (2 * x).astype(dtype))]
    result = []
    if program == "cnn":  # ten blocky pictures, one a class, under noise
        prototypes = np.kron(uniform(rng, (10, 7, 7), 0, 1), np.ones((4, 4)))
        for _ in range(5):
            y = np.floor(rng.random_sample(8) * 10).astype(np.int64)
            noise = uniform(rng, (8, 1, 28, 28), -0.1, 0.1)
            images = (2 * (prototypes[y][:, None] + noise) - 1).astype(np.float32)
            result.append((images.astype(dtype), y))
    else:  # sequences whose steps lean towards the direction of their class
        directions = uniform(rng, (10, 100), -1, 1)
        for _ in range(5):
            y = np.floor(rng.random_sample(16) * 10).astype(np.int64)
            noise = uniform(rng, (16, 24, 100), -1, 1)
            steps = (0.5 * directions[y][:, None] + 0.5 * noise).astype(np.float32)
            result.append((steps.astype(dtype), y))
    return result


def losses(program: str, t: Any, dtype: str) -> np.ndarray:
    """The losses of 200 steps of the program's model, criterion and optimiser."""
    with default_dtype(t, dtype):
        variables, _ = run_source(program, t.__name__, dtype)
        model, criterion = variables["model"], variables["criterion"]
        optimizer = variables["optimizer"]
        shapes = {name: tuple(p.shape) for name, p in model.state_dict().items()}
        drawn = weights(program, shapes, dtype)
        model.load_state_dict({name: t.tensor(array) for name, array in drawn.items()})
        fed = [(t.tensor(x), t.tensor(y)) for x, y in batches(program, dtype)]
        recorded = []
        for step in range(STEPS):
            x, y = fed[step % len(fed)]
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            recorded.append(loss.item())
    return np.array(recorded)
