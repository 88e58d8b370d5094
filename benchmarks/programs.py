"""What is timed: each function builds a program and returns a function that runs it once.

The same lines run under minigrad and under torch, so neither can be given an easier task; they use
public names only, so any revision of minigrad runs them. Numbers come from NumPy: every library
starts from the same weights and sees the same data; what a run returns (a loss; a result and its
gradients) is compared between the libraries before it is timed.

`lib` holds a library under torch's names: lib.torch, lib.nn, lib.optim, lib.F. Two functions let a
library choose its layout without another program: lib.images(array) makes a tensor of images,
lib.ready(model) prepares a model (torch's channels_last, torch.compile).

Above each program stands how much work it is, counted from its sizes: flops (multiplications,
additions, and exp or tanh as one each; convolution as if done directly) and moved, the bytes that
must go through memory if each pass reads each operand once and writes its result once, with
activations and pooling as part of the layer before. Not here: the sizes (catalogue.py).
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

Run = Callable[[], Any]
Build = Callable[..., Run]


class Work(NamedTuple):
    """How many flops and bytes a run is, functions of its sizes, and which NumPy control
    (by_hand/in_numpy.py) has the same bottleneck: "gemm" or "stream"."""

    flops: Callable[..., int]
    moved: Callable[..., int]
    control: str


WORK: dict[str, Work] = {}      # a program's name -> its work; what overhead alone decides has none


def _work(flops: Callable[..., int], moved: Callable[..., int],
          control: str = "gemm") -> Callable[[Build], Build]:
    def note(build: Build) -> Build:
        WORK[build.__name__] = Work(flops, moved, control)
        return build
    return note


def product_bytes(x: int, w: int, y: int, passes: int = 3) -> int:
    """Bytes of a layer y = x * w of so many numbers: a pass reads two of them, writes one."""
    return 4 * passes * (x + w + y)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def labels(batch: int, classes: int = 10) -> np.ndarray:
    """Class numbers (batch,), the same for every library."""
    return np.random.default_rng(1).integers(classes, size=batch)


def initial(shapes: Iterable[tuple[int, ...]]) -> list[np.ndarray]:
    """Weights of these shapes, uniform in +-1/sqrt(fan_in); a bias gets its weight's bound."""
    rng, bound, values = np.random.default_rng(2), 1.0, []
    for shape in shapes:
        if len(shape) > 1:
            bound = 1 / float(np.sqrt(np.prod(shape[1:])))
        values.append(rng.uniform(-bound, bound, shape).astype(np.float32))
    return values


def _with_initial_weights(lib: SimpleNamespace, model: Any) -> Any:
    state = model.state_dict()
    values = initial(tuple(value.shape) for value in state.values())
    model.load_state_dict({name: lib.torch.tensor(v) for name, v in zip(state, values)})
    return lib.ready(model)


def _training_step(lib: SimpleNamespace, model: Any, criterion: Any, x: Any, y: Any) -> Run:
    model = _with_initial_weights(lib, model)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.01)

    def run() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss
    return run


def _forward_backward(lib: SimpleNamespace, function: Callable, tensors: list[Any]) -> Run:
    """function(*tensors) and the gradients of all tensors, from a random cotangent."""
    for t in tensors:
        t.requires_grad = True
    with lib.torch.no_grad():
        shape = tuple(function(*tensors).shape)
    make = lib.images if len(shape) == 4 else lib.torch.tensor
    g = make(draw(*shape, seed=7))

    def run() -> Any:
        for t in tensors:
            t.grad = None
        y = function(*tensors)
        y.backward(g)
        return (y, *[t.grad for t in tensors])
    return run


# ------------------------------------------------------------------- the article's programs

def linear_regression(lib: SimpleNamespace, batch: int = 4) -> Run:
    """One step of the article's first program: Linear(1, 1) on 4 points."""
    x = np.arange(1, batch + 1, dtype=np.float32)[:, None] / batch
    return _training_step(lib, lib.nn.Linear(1, 1), lib.nn.MSELoss(),
                          lib.torch.tensor(x), lib.torch.tensor(2 * x))


def logistic_regression(lib: SimpleNamespace, batch: int = 64, features: int = 30) -> Run:
    """One step of a logistic regression: Linear(features, 1), binary cross-entropy of logits."""
    x, y = draw(batch, features), labels(batch, 2).astype(np.float32)[:, None]
    return _training_step(lib, lib.nn.Linear(features, 1), lib.nn.BCEWithLogitsLoss(),
                          lib.torch.tensor(x), lib.torch.tensor(y))


def _cnn(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))


def _cnn_flops(batch: int, first: int, others: int) -> int:
    """Of so many passes through the first layer and through the others."""
    return 2 * batch * (first * 32 * 28 * 28 * 9
                        + others * (64 * 14 * 14 * 32 * 9 + 64 * 7 * 7 * 128 + 128 * 10))


def _cnn_bytes(batch: int, first: int, others: int) -> int:
    return (product_bytes(batch * 784, 32 * 9, batch * 32 * 784, first)
            + product_bytes(batch * 32 * 196, 64 * 32 * 9, batch * 64 * 196, others)
            + product_bytes(batch * 3136, 3136 * 128, batch * 128, others)
            + product_bytes(batch * 128, 1280, batch * 10, others))


# Forward, gradient of the weights, gradient of the input (not of the images): 2 and 3 passes.
@_work(lambda batch: _cnn_flops(batch, 2, 3), lambda batch: _cnn_bytes(batch, 2, 3))
def cnn(lib: SimpleNamespace, batch: int) -> Run:
    """One training step of the article's CNN on 28x28 images."""
    return _training_step(lib, _cnn(lib.nn), lib.nn.CrossEntropyLoss(),
                          lib.images(draw(batch, 1, 28, 28)), lib.torch.tensor(labels(batch)))


@_work(lambda batch: _cnn_flops(batch, 1, 1), lambda batch: _cnn_bytes(batch, 1, 1))
def cnn_inference(lib: SimpleNamespace, batch: int) -> Run:
    """The article's CNN, forward only, nothing recorded."""
    model, x = _with_initial_weights(lib, _cnn(lib.nn)), lib.images(draw(batch, 1, 28, 28))
    model.eval()

    def run() -> Any:
        with lib.torch.inference_mode():
            return model(x)
    return run


# Two passes over the input's weights (no gradient of the input), three over the others; the
# weights move once a pass: they stay in the cache.
@_work(lambda batch, steps: (2 * batch * steps * 128 * (2 * 100 + 3 * 128)
                             + 3 * 2 * batch * 128 * 10),
       lambda batch, steps: (product_bytes(batch * steps * 100, 128 * 100, batch * steps * 128, 2)
                             + product_bytes(0, 128 * 128, batch * steps * 128, 3)))
def rnn(lib: SimpleNamespace, batch: int, steps: int) -> Run:
    """One training step of the article's RNN: 100 inputs, 128 hidden, 10 classes."""
    class Model(lib.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = lib.nn.RNN(100, 128, batch_first=True)
            self.fc = lib.nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            out, _ = self.rnn(x)
            return self.fc(out[:, -1, :])
    return _training_step(lib, Model(), lib.nn.CrossEntropyLoss(),
                          lib.torch.tensor(draw(batch, steps, 100)),
                          lib.torch.tensor(labels(batch)))


@_work(lambda batch: 2 * batch * (2 * 784 * 256 + 3 * 256 * 10),
       lambda batch: (product_bytes(batch * 784, 784 * 256, batch * 256, 2)
                      + product_bytes(batch * 256, 2560, batch * 10, 3)))
def mlp(lib: SimpleNamespace, batch: int) -> Run:
    """One training step of a 784-256-10 network."""
    nn = lib.nn
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    return _training_step(lib, model, nn.CrossEntropyLoss(),
                          lib.torch.tensor(draw(batch, 1, 28, 28)),
                          lib.torch.tensor(labels(batch)))


# ------------------------------------------------------------------------ single operations

def _conv_flops(batch: int, channels: int, size: int, filters: int, kernel: int,
                stride: int = 1, dilation: int = 1, groups: int = 1) -> int:
    out = -(-size // stride)
    return 3 * 2 * batch * filters * out * out * (channels // groups) * kernel * kernel


def _conv_bytes(batch: int, channels: int, size: int, filters: int, kernel: int,
                stride: int = 1, dilation: int = 1, groups: int = 1) -> int:
    out = -(-size // stride)
    return product_bytes(batch * channels * size * size,
                         filters * (channels // groups) * kernel * kernel,
                         batch * filters * out * out)


@_work(_conv_flops, _conv_bytes)
def conv(lib: SimpleNamespace, batch: int, channels: int, size: int, filters: int, kernel: int,
         stride: int = 1, dilation: int = 1, groups: int = 1) -> Run:
    """conv2d with 'same'-like padding and a bias, forward and all three gradients."""
    x = lib.images(draw(batch, channels, size, size))
    w, b = initial([(filters, channels // groups, kernel, kernel), (filters,)])
    padding = dilation * (kernel - 1) // 2

    def function(x: Any, w: Any, b: Any) -> Any:
        return lib.F.conv2d(x, w, b, stride, padding, dilation, groups)
    return _forward_backward(lib, function, [x, lib.images(w), lib.torch.tensor(b)])


def _pool_flops(batch: int, channels: int, size: int, kernel: int, stride: int) -> int:
    """A comparison or addition for each cell of each window, forward and backward."""
    out = (size - kernel) // stride + 1
    return 2 * batch * channels * out * out * kernel * kernel


def _pool_bytes(batch: int, channels: int, size: int, kernel: int, stride: int) -> int:
    """x read, y written; g read, gx written."""
    out = (size - kernel) // stride + 1
    return 4 * 2 * batch * channels * (size * size + out * out)


@_work(_pool_flops, _pool_bytes, "stream")
def max_pool(lib: SimpleNamespace, batch: int, channels: int, size: int, kernel: int,
             stride: int) -> Run:
    """max_pool2d, forward and backward."""
    return _forward_backward(lib, lambda x: lib.F.max_pool2d(x, kernel, stride),
                             [lib.images(draw(batch, channels, size, size))])


@_work(_pool_flops, _pool_bytes, "stream")
def avg_pool(lib: SimpleNamespace, batch: int, channels: int, size: int, kernel: int,
             stride: int) -> Run:
    """avg_pool2d, forward and backward."""
    return _forward_backward(lib, lambda x: lib.F.avg_pool2d(x, kernel, stride),
                             [lib.images(draw(batch, channels, size, size))])


@_work(lambda batch, inputs, outputs: 3 * 2 * batch * inputs * outputs,
       lambda batch, inputs, outputs: product_bytes(batch * inputs, inputs * outputs,
                                                    batch * outputs))
def linear(lib: SimpleNamespace, batch: int, inputs: int, outputs: int) -> Run:
    """y = x W^T + b, forward and all three gradients."""
    w, b = initial([(outputs, inputs), (outputs,)])
    return _forward_backward(lib, lib.F.linear,
                             [lib.torch.tensor(a) for a in (draw(batch, inputs), w, b)])


def _of_matrix(flops: int, passes: int = 5) -> Callable[[Build], Build]:
    """So many flops a number; by default x read, y written; g and y (or x) read, gx written. A
    chain is counted as if it were one operation."""
    return _work(lambda batch, classes: flops * batch * classes,
                 lambda batch, classes: 4 * passes * batch * classes, "stream")


@_of_matrix(flops=9)        # max, -, exp, +, /; then two products, a sum, a difference
def softmax(lib: SimpleNamespace, batch: int, classes: int) -> Run:
    """softmax over the classes, forward and backward."""
    return _forward_backward(lib, lambda x: lib.F.softmax(x, dim=1),
                             [lib.torch.tensor(draw(batch, classes))])


@_of_matrix(flops=9, passes=3)      # x read; x read again, gx written
def cross_entropy(lib: SimpleNamespace, batch: int, classes: int) -> Run:
    """Mean cross-entropy of logits against class numbers, forward and backward."""
    target = lib.torch.tensor(labels(batch, classes))
    return _forward_backward(lib, lambda x: lib.F.cross_entropy(x, target),
                             [lib.torch.tensor(draw(batch, classes))])


@_of_matrix(flops=4)        # tanh; then g (1 - y y)
def tanh(lib: SimpleNamespace, batch: int, classes: int) -> Run:
    """tanh of a matrix, forward and backward."""
    return _forward_backward(lib, lib.torch.tanh, [lib.torch.tensor(draw(batch, classes))])


@_of_matrix(flops=23)       # 9 operations forward; the derivative of the formula takes 14 more
def gelu_chain(lib: SimpleNamespace, batch: int, classes: int) -> Run:
    """gelu written out: x/2 (1 + tanh(0.79788 (x + 0.044715 x x x))), forward and backward."""
    tanh = lib.torch.tanh
    return _forward_backward(
        lib, lambda x: 0.5 * x * (1 + tanh(0.7978846 * (x + 0.044715 * x * x * x))),
        [lib.torch.tensor(draw(batch, classes))])


@_of_matrix(flops=17)       # 8 operations forward, two of them sums; 9 for the gradients
def layer_norm_chain(lib: SimpleNamespace, batch: int, classes: int) -> Run:
    """layer_norm written out: mean and variance of each row, scale and shift; all gradients."""
    def function(x: Any, w: Any, b: Any) -> Any:
        centred = x - x.mean(dim=1, keepdim=True)
        variance = (centred * centred).mean(dim=1, keepdim=True)
        return centred / (variance + 1e-5).sqrt() * w + b
    return _forward_backward(lib, function, [lib.torch.tensor(a) for a in (
        draw(batch, classes), draw(classes, seed=3), draw(classes, seed=4))])


# The function, its derivative, their product; x read, y written; g and x read, gx written.
@_work(lambda function, size: 3 * size, lambda function, size: 4 * 5 * size, "stream")
def elementwise(lib: SimpleNamespace, function: str, size: int) -> Run:
    """A function of each number of a vector by its name (exp, gelu, ...), forward and backward."""
    found = getattr(lib.torch, function, None) or getattr(lib.F, function)
    return _forward_backward(lib, found, [lib.torch.tensor(draw(size))])


@_work(lambda size: 3 * size, lambda size: 4 * 8 * size, "stream")
def product(lib: SimpleNamespace, size: int) -> Run:
    """x * y of two vectors, forward and both gradients."""
    return _forward_backward(lib, lambda x, y: x * y, [
        lib.torch.tensor(draw(size, seed=seed)) for seed in (3, 4)])


def tiny_ops(lib: SimpleNamespace, pairs: int = 100) -> Run:
    """2 * pairs operations on 3x4 tensors: what the engine itself costs."""
    return _forward_backward(lib, lambda x: alternate(x, pairs), [lib.torch.tensor(near_one())])


def near_one() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.99, 1.01, (3, 4)).astype(np.float32)


def alternate(x: Any, pairs: int) -> Any:
    """y * x, then y - x, so many times."""
    y = x
    for _ in range(pairs):
        y = y * x
        y = y - x
    return y
