"""Vector instructions: what less able machines would be given, against plain NumPy. The rest of the
suite runs what this machine is given."""
from __future__ import annotations


import pytest

from minigrad.kernels.jit.kernel import jit_disabled
from process_testing import python

needs_jit = pytest.mark.skipif(jit_disabled(), reason="nothing is compiled in this run")


# Vector instructions: what less able machines would be given, against plain NumPy. The rest of the
# suite runs what this machine is given.
PATHS = {
    "avx2": ("haswell", "+avx2,+fma,+avx", 8),
    "plain": ("x86-64", "", 0),
}
AGREE = """if True:
    import sys
    import numpy as np
    import minigrad as mg
    from minigrad.kernels.conv import conv2d as conv
    from minigrad.kernels.matmul import linear
    from minigrad.kernels.jit import Kernel
    from minigrad.kernels.simd.tile import tile_shape

    rng = np.random.default_rng(0)
    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)
    def agree(got, want):
        assert got.dtype == dtype
        limit = 1e-5 if dtype == "f4" else 1e-13
        np.testing.assert_allclose(got, want, rtol=0, atol=limit * np.abs(want).max())
    def differentiate(y, *leaves):
        g = draw(*y.shape)
        y.backward(mg.tensor(g))
        return g, *(leaf.grad.numpy() for leaf in leaves)
    def leaf(*shape):
        return mg.tensor(draw(*shape), requires_grad=True)

    for dtype in ("f4", "f8"):
        x, w, b = leaf(75, 70), leaf(61, 70), leaf(61)
        y = mg.nn.functional.linear(x, w, b)
        g, gx, gw = differentiate(y, x, w)
        x, w = x.detach().numpy(), w.detach().numpy()
        agree(y.detach().numpy(), linear.product_reference(x, w.T, b.detach().numpy()))
        agree(gx, linear.product_reference(g, w))
        agree(gw, linear.product_reference(g.T, x))
        if dtype == "f8":
            break                   # the tile is the same for all; compiling the rest takes long
        for c, f, k, stride, padding, groups in ((5, 9, 3, 1, 1, 1), (8, 12, 5, 2, 2, 4)):
            rule = (stride,) * 2, (padding,) * 2, (1, 1), groups
            x, w, b = leaf(3, c, 19, 17), leaf(f, c // groups, k, k), leaf(f)
            y = mg.conv2d(x, w, b, stride, padding, 1, groups)
            g, gx, gw = differentiate(y, x, w)
            x, w, b, out = (t.detach().numpy() for t in (x, w, b, y))
            agree(out, conv.conv2d_reference(x, w, b, out.shape[2:], *rule))
            agree(gx, conv.conv2d_grad_x_reference(g, w, x.shape[2:], *rule))
            agree(gw, conv.conv2d_grad_w_reference(g, x, w.shape[2:], *rule))
        rnn, x = mg.nn.RNN(24, 45), leaf(7, 19, 24)
        y, _ = rnn(x)
        g, gx, gw = differentiate(y, x, rnn.weight_hh_l0)
        rnn.zero_grad()
        x = mg.tensor(x.detach().numpy(), requires_grad=True)
        h, states = mg.zeros(19, 45), []
        for t in range(7):
            z = x[t] @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + h @ rnn.weight_hh_l0.T + rnn.bias_hh_l0
            h = z.tanh()
            states.append(h)
        want = mg.stack(states)
        want.backward(mg.tensor(g))
        agree(y.detach().numpy(), want.detach().numpy())
        agree(gx, x.grad.numpy())
        agree(gw, rnn.weight_hh_l0.grad.numpy())

    kernels = {id(k): k for name, module in list(sys.modules.items()) for k in vars(module).values()
               if name.startswith("minigrad.kernels.") and isinstance(k, Kernel) and k._dispatcher}
    code = "".join(text for k in kernels.values() for text in k._dispatcher.inspect_asm().values())
    print(tile_shape("f4").lanes, "vfmadd" in code, "ymm" in code, "zmm" in code)
"""


@needs_jit
@pytest.mark.slow                  # the tile of products is tried so in kernels/matmul/ each time
@pytest.mark.parametrize("path", PATHS)
def test_each_kind_of_vector_instructions_agrees_with_numpy(tmp_path, path):
    name, features, lanes = PATHS[path]
    import llvmlite.binding as llvm
    try:
        here = dict(llvm.get_host_cpu_features())
    except RuntimeError:
        here = {}
    if "x86" not in llvm.get_process_triple().replace("amd64", "x86"):
        pytest.skip("this processor is no x86")
    missing = [f for f in features.split(",") if f and not here.get(f[1:])]
    if missing:
        pytest.skip(f"this processor cannot run {' '.join(missing)}")
    code, out, err = python("-c", AGREE, cache=tmp_path, MINIGRAD_QUIET="1",
                            NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=features)
    assert (code, err) == (0, ""), err
    vectors = str(lanes > 0)
    assert out.split() == [str(lanes), vectors, vectors, "False"]
