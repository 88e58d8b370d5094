"""The register tile and the linear layer's three products against their references."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigrad import tuning
from minigrad.kernels.jit.kernel import jit_disabled
from minigrad.kernels.matmul import product as product_module
from minigrad.kernels.matmul.few_rows import add_rows, dots, sums
from minigrad.kernels.matmul.linear import (
    linear, linear_grad_w, linear_grad_w_and_bias, linear_grad_x, product_reference,
)
from minigrad.kernels.matmul.product import product
from minigrad.kernels.parallel.threads import set_num_threads
from minigrad.kernels.simd.registers import cpu_features
from minigrad.kernels.simd.tile import (
    TileShape, broad_tile, choose_shape, long_tile, narrow_tile, single_tile, tile, tile_shape,
)

DTYPES = ("float32", "float64")
RELATIVE = {"float32": 2e-6, "float64": 1e-13}
few_examples = settings(max_examples=8 if jit_disabled() else 60, deadline=None)
longest = 9 if jit_disabled() else 70
sizes = st.one_of(st.integers(0, 9), st.integers(0, longest))


def close(got, want, depth_scale):
    """Equal up to rounding of a sum whose terms add up to `depth_scale` in absolute value."""
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert got.flags.c_contiguous
    error = np.abs(got.astype("f8") - want.astype("f8"))
    assert (error <= RELATIVE[str(got.dtype)] * (depth_scale + 1e-30)).all(), error.max()


def draw(seed, *shape, dtype):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def scale(a, b, bias=None):
    total = np.abs(a).astype("f8") @ np.abs(b).astype("f8")
    return total if bias is None else total + np.abs(bias)


# ------------------------------------------------------------------------------------ the tile
TILES = {
    "wide": tile, "broad": broad_tile, "long": long_tile, "narrow": narrow_tile,
    "single": single_tile,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("kind", TILES)
@pytest.mark.parametrize("start", ["one row for all", "C itself", "other rows"])
def test_tile_equals_its_plain_version_and_writes_nothing_else(kind, start, depth, dtype):
    rows, cols, _ = tile_shape(dtype, kind)
    rng = np.random.default_rng(depth)
    a, b = rng.standard_normal((2, 60 + cols)).astype(dtype)
    row, ka = rng.integers(0, 30, rows), rng.integers(0, 30, depth)  # they may lie anywhere
    kb = rng.integers(0, 60, depth)  # rows of B may overlap
    ldc = cols + 3
    c = rng.standard_normal(rows * ldc + 5).astype(dtype)
    lds = {"one row for all": 0, "C itself": ldc, "other rows": cols + 1}[start]
    initial = rng.standard_normal(rows * (cols + 1)).astype(dtype)
    before, plain = c.copy(), c.copy()
    TILES[kind].plain(a, row, ka, b, kb, depth, plain if lds == ldc else initial, lds, plain, ldc)
    TILES[kind](a, row, ka, b, kb, depth, c if lds == ldc else initial, lds, c, ldc)
    np.testing.assert_allclose(c, plain, rtol=1e-5 if dtype == "float32" else 1e-13, atol=1e-6)
    at = np.arange(rows)[:, None] * ldc + np.arange(cols)
    outside = np.ones(c.size, bool)
    outside[at] = False
    np.testing.assert_array_equal(c[outside], before[outside])
    first = before if lds == ldc else initial
    want = first[np.arange(rows)[:, None] * lds + np.arange(cols)].astype("f8")
    want += a[row[:, None] + ka].astype("f8") @ b[kb[:, None] + np.arange(cols)]
    np.testing.assert_allclose(c[at], want, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(jit_disabled(), reason="compares machine code for several CPUs")
@pytest.mark.parametrize(
    "cpu, features, lanes", [("generic", "", 0), ("haswell", "+avx,+avx2,+fma", 8)]
)
def test_product_compiled_for_another_cpu(cpu, features, lanes, tmp_path):
    """Plain loops, and the AVX2 tile, on a machine that would not choose them by itself."""
    if lanes and not {"avx2", "fma"} <= cpu_features():
        features, lanes = "", 0
    program = """if True:
        import numpy as np
        from minigrad.kernels.matmul.product import product
        from minigrad.kernels.simd.tile import tile_shape
        r = np.random.default_rng(0)
        a, b = r.standard_normal((13, 300)), r.standard_normal((300, 19))
        for dtype in "float32", "float64":
            x, y = a.astype(dtype), b.astype(dtype)
            error = abs(product(x, False, y, True) - a @ b).max()
            assert error < (1e-4 if dtype == "float32" else 1e-12), error
        print(tile_shape("float32").lanes)
    """
    env = os.environ | {
        "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": features, "MINIGRAD_CACHE_DIR": str(tmp_path)
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(lanes)]


@pytest.mark.skipif(jit_disabled(), reason="reads machine code")
def test_the_tile_for_neon_is_multiply_adds_in_registers(tmp_path):
    """No ARM here: LLVM cross-compiles what Numba makes, and the inner loop is looked at."""
    program = """if True:
        import re
        import llvmlite.binding as llvm
        from minigrad.kernels.simd.tile import tile, tile_shape
        assert tile_shape("float32") == (8, 8, 4), tile_shape("float32")
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        try:
            target = llvm.Target.from_triple("aarch64-unknown-linux-gnu")
        except RuntimeError:
            raise SystemExit("no such target")
        kernel = tile.dispatcher()
        kernel.compile("void(f4[::1],i8[::1],i8[::1],f4[::1],i8[::1],i8,f4[::1],i8,f4[::1],i8)")
        text = next(iter(kernel.inspect_llvm().values()))
        text = re.sub(r'target (triple|datalayout) = ".*"\\n', "", text)
        text = re.sub(r'"(target-cpu|target-features|tune-cpu)"="[^"]*"', "", text)
        # Counting references is written for the host's own atomics: only its name is kept.
        text = re.sub(r"define [^\\n]*@NRT_(incref|decref)\\(.*?\\n}\\n", "", text, flags=re.S)
        for name in "NRT_incref", "NRT_decref":
            if "@" + name in text and f"declare void @{name}" not in text:
                text += f"\\ndeclare void @{name}(ptr)\\n"
        machine = target.create_target_machine(cpu="cortex-a72", opt=3)
        module = llvm.parse_assembly(text)
        module.triple, module.data_layout = "aarch64-unknown-linux-gnu", str(machine.target_data)
        blocks = re.split(r"\\n\\.LBB", machine.emit_assembly(module))
        loop = max(blocks, key=lambda block: block.count("fmla"))  # the others: an odd step
        body = loop[: loop.index("b.", loop.rindex("fmla"))]
        print(len(re.findall(r"fmla\\s+v\\d+\\.4s", body)), body.count("[sp"))
    """
    env = os.environ | {
        "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "+neon",
        "MINIGRAD_CACHE_DIR": str(tmp_path),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=300
    )
    if "no such target" in done.stderr:
        pytest.skip("this LLVM knows no ARM")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["32", "0"], "2 x 8 rows x 2 vectors, and nothing on the stack"


def test_tile_shape_follows_the_registers():
    def shape(features, kind, itemsize):
        return choose_shape(frozenset(features.split()), kind, itemsize)

    assert shape("avx512f avx2 fma", "wide", 4) == TileShape(8, 32, 16)
    assert shape("avx512f avx2 fma", "wide", 8) == TileShape(8, 16, 8)
    assert shape("avx512f avx2 fma", "long", 4) == TileShape(8, 48, 16)
    assert shape("avx2 fma", "long", 4) == shape("avx2 fma", "wide", 4)
    assert shape("avx512f avx2 fma", "narrow", 4) == TileShape(8, 16, 16)
    assert shape("avx512f avx2 fma", "single", 4) == TileShape(1, 128, 16)
    assert shape("avx2 fma", "wide", 4) == TileShape(6, 16, 8)
    assert shape("neon", "wide", 8) == TileShape(8, 4, 2)
    assert shape("avx2", "wide", 4).lanes == 0  # no fused multiply-add: plain loops


# ------------------------------------------------------------------------------- every product
@few_examples
@given(m=sizes, k=sizes, n=sizes, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
@example(m=1, k=1, n=1, dtype="float32", seed=0)
@example(m=9, k=3, n=49, dtype="float32", seed=0)
@example(m=0, k=3, n=2, dtype="float64", seed=0)
@example(m=3, k=0, n=2, dtype="float64", seed=0)
def test_product_in_all_layouts(m, k, n, dtype, seed):
    a, b = draw(seed, m, k, dtype=dtype), draw(seed + 1, k, n, dtype=dtype)
    bias = draw(seed + 2, n, dtype=dtype)
    at, bt = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    small = m * k * n < 1000
    want = product_reference(a, b, bias) if small else (a.astype("f8") @ b + bias).astype(dtype)
    for a_k_first in (False, True):
        for b_k_first in (False, True):
            factors = at if a_k_first else a, a_k_first, b if b_k_first else bt, b_k_first
            close(product(*factors, bias), want, scale(a, b, bias))
            close(product(*factors), (want - bias).astype(dtype), 2 * scale(a, b, bias))


@few_examples
@given(m=sizes, k=sizes, n=sizes, dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
def test_loops_for_few_rows(m, k, n, dtype, seed):
    x, w = draw(seed, m, k, dtype=dtype), draw(seed + 1, n, k, dtype=dtype)
    g, bias = draw(seed + 2, m, n, dtype=dtype), draw(seed + 3, n, dtype=dtype)
    wide = (x.astype("f8") @ w.T + bias).astype(dtype)
    close(dots(x, w, bias), wide, scale(x, w.T, bias))
    close(dots(x, w, None), (x.astype("f8") @ w.T).astype(dtype), scale(x, w.T))
    close(sums(g, w), (g.astype("f8") @ w).astype(dtype), scale(g, w))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "m, k, f",
    [
        (0, 3, 2), (3, 0, 2), (3, 2, 0), (1, 1, 1), (4, 5, 3),  # NumPy
        (1, 97, 101), (1, 7, 1), (1, 1, 7), (1, 601, 550), (3, 601, 550), (8, 601, 550),  # few rows
        (601, 550, 1), (601, 550, 3), (550, 1, 601), (1000, 300, 8),  # few columns
        (9, 300, 131), (40, 300, 131), (64, 131, 97), (130, 513, 100), (70, 64, 65),  # the tile
        (600, 70, 300), (3000, 70, 40),  # several blocks of k, several pieces
    ],
)  # fmt: skip
def test_public_products_by_every_route(m, k, f, dtype):
    x, w = draw(0, m, k, dtype=dtype), draw(1, f, k, dtype=dtype)
    g, bias = draw(2, m, f, dtype=dtype), draw(3, f, dtype=dtype)
    copies = [v.copy() for v in (x, w, g, bias)]
    wide = x.astype("f8") @ w.T
    close(linear(x, w), wide.astype(dtype), scale(x, w.T))
    close(linear(x, w, bias), (wide + bias).astype(dtype), scale(x, w.T, bias))
    close(linear_grad_x(g, w), (g.astype("f8") @ w).astype(dtype), scale(g, w))
    close(linear_grad_w(g, x), (g.T.astype("f8") @ x).astype(dtype), scale(g.T, x))
    gw, gb = linear_grad_w_and_bias(g, x)
    np.testing.assert_array_equal(gw, linear_grad_w(g, x))
    close(gb, g.astype("f8").sum(0).astype(dtype), np.abs(g).sum(0))
    for now, before in zip((x, w, g, bias), copies):
        np.testing.assert_array_equal(now, before)


def test_long_sums_are_accurate():
    k = 3000 if jit_disabled() else 100_000
    x, w = np.full((1, k), 0.1, "f4"), np.ones((2, k), "f4")
    exact = float(np.float32(0.1)) * k
    for y in (dots(x, w, None), product(x, False, w, False)):
        # one running float32 sum of the 100,000 would be off by 1.4e-4
        assert abs(float(y[0, 0]) / exact - 1) < 5e-5


def test_nan_and_infinity_reach_their_row_and_no_other():
    x, w = np.ones((10, 5), "f4"), np.ones((50, 5), "f4")
    x[3, 2] = np.nan
    w[7, 1] = np.inf
    with np.errstate(invalid="ignore"):  # the plain run warns, compiled loops do not
        results = product(x, False, w, False), dots(x, w, None)
    for y in results:
        assert np.isnan(y[3]).all()
        other = np.delete(y, 3, axis=0)
        assert np.isinf(other[:, 7]).all()
        assert (np.delete(other, 7, axis=1) == 5).all()


def test_strided_and_read_only_inputs():
    m, k, f = (12, 10, 9) if jit_disabled() else (90, 80, 70)
    x, w = draw(0, 2 * m, k, dtype="f4")[::2], draw(1, k, f, dtype="f4").T
    g = np.broadcast_to(draw(2, 1, f, dtype="f4"), (m, f))
    x.flags.writeable = False
    close(linear(x, w), (x.astype("f8") @ w.T).astype("f4"), scale(x, w.T))
    close(linear_grad_x(g, w), (g.astype("f8") @ w).astype("f4"), scale(g, w))
    close(linear_grad_w(g, x), (g.T.astype("f8") @ x).astype("f4"), scale(g.T, x))


@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_at_any_number_of_threads(dtype, monkeypatch):
    if jit_disabled():
        # plain loops are slow: make chunks worth it sooner instead
        monkeypatch.setattr(tuning, "PRODUCT_GRAIN", 1)
        product_module._plan.cache_clear()
        m, k, f = 11, 6, 50
    else:
        m, k, f = 200, 300, 260
    x, w, g = (draw(i, *s, dtype=dtype) for i, s in enumerate([(m, k), (f, k), (m, f)]))

    def results():
        return [
            product(x, False, w, False),
            product(g, False, w, True),
            product(g, True, x, True),
            dots(x[:2], w, None),
            sums(g[:2], w),
            linear_grad_w(g[:1], x[:1]),
            linear_grad_w_and_bias(g, x)[1],
        ]

    set_num_threads(1)
    want = results()
    for threads in (2, 3, 5):
        set_num_threads(threads)
        for got, expected in zip(results(), want):
            np.testing.assert_array_equal(got, expected)


def test_add_rows_writes_only_its_blocks():
    gx = np.full((2, 10), 7.0)
    add_rows(1, 2, np.ones((2, 3)), np.ones((3, 10)), 4, gx)
    want = np.full((2, 10), 7.0)
    want[:, 4:8] = 3
    np.testing.assert_array_equal(gx, want)
