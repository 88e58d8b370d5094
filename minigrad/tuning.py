"""The size limits of the package: at which sizes one way changes places with another, how finely
work is shared out, what is kept in which cache.

Each line says in what unit it counts, what it decides, and behind the bar which command measured
it (to be run before and after an edit of the line):

    ways FAMILY SIZES     python -m minigrad ways FAMILY SIZES: the time of every way at such sizes
    NAME                  python -m benchmarks --against HEAD NAME: rows before and after

Host functions say `tuning.NAME`. A compiled function may not: what it reads would be frozen into
machine code, and the compile cache is not keyed by this file.

Not here: what compiled functions read, which stands above them (the blocks of a sum in
kernels/rowwise/sums.py and kernels/matmul/few_rows.py, the height of a strip in
kernels/pool/cells.py); the chunk and the piece of a formula's loop (kernels/pointwise/loop.py); how
many chunks a job has at most, and the number of threads (kernels/parallel/threads.py); what differs
between processors and can be asked (kernels/simd/registers.py).
"""

# --- sums (long_sums.py, ops/reduce.py, kernels/rowwise/) ----------------------------------------

#: numbers in a row: from here on the order of adding matters, so `long_sums.total` adds as a tree;
#: below, NumPy's own sum is nearly as exact, and takes 1 us | sum
SUM_MANY = 4096
#: rows: the same for rows that are added one after the other | sum
SUM_ROWS = 512
#: numbers: from here on a float32 sum along rows goes to all threads (`row_sums`) | sum
SUM_SHARED = 1 << 14
#: numbers in a row: shorter ones are added by NumPy | sum
SUM_LONG = 32
#: pieces into which a few long rows are cut for the threads, at most | sum
SUM_PIECES = 64
#: numbers: a chunk of `row_sums`, 2 us | sum
ROW_SUMS_GRAIN = 1 << 15
#: numbers: from here on a running sum is our loop's, not NumPy's in float64 | cumsum
SCAN_LARGE = 1 << 10
#: numbers: a chunk of a running sum, 20 us | cumsum
SCAN_GRAIN = 1 << 14
#: neighbours that go along the dimension of a running sum together | cumsum
SCAN_WIDTH = 256

#: choosing the k first of n is linear, sorting n log n: it pays up to one in so many | topk
CHOOSE_PART = 8

# --- memory, gradients, optimisers ---------------------------------------------------------------

#: bytes: results from here on use memory again (memory.py); below, malloc does it | cnn
MEMORY_LEAST = 1 << 18
#: results made until blocks that nobody wants are given back | cnn
MEMORY_PATIENCE = 256
#: bytes: from here on a sum of two gradients is written over one of them, if nobody else holds
#: that: 262,144 float32 numbers in 13 us instead of 21, and no new memory | cnn
GRADIENT_IN_PLACE = 1 << 18
#: numbers: a result may wait for an operation to be fused with (autograd/fusion.py): relu and
#: pooling of 25,088 and 12,544 numbers took 40 us less when they waited for one another | cnn
FUSION_LEAST = 1 << 13
#: numbers of a parameter: from here on one compiled pass beats the few NumPy calls | sgd
SGD_LOOP = 1 << 14
#: numbers: a chunk of that pass, 2 us | sgd
SGD_GRAIN = 1 << 14
#: bytes of a place of a scratch arena: above, it is made anew for each call | cnn
ARENA_KEPT = 1 << 22

# --- functions of single numbers (kernels/pointwise/) --------------------------------------------
# From where a formula's loop, 1.5 us a call, beats NumPy's calls, 0.35 to 0.9 us each.

#: numbers, a formula of several NumPy calls: from 100 on the loop is faster; but it is compiled in
#: 15 ms, which programs on tiny arrays need not wait for | gelu
LOOP_OF_MANY = 1 << 9
#: numbers, one call that computes (exp, sqrt, where: NumPy 0.3 to 0.6 ns a number, a loop 0.1), or
#: two or three at the speed of memory | exp
LOOP_OF_FEW = 1 << 13
#: numbers, tanh and log, which NumPy computes in vectors as wide as ours: only threads gain | tanh
LOOP_OF_WIDE = 1 << 15
#: numbers, one call at the speed of memory (+ - * /): from here threads gain, and results whose
#: memory was used before | product
LOOP_OF_MEMORY = 1 << 16
#: numbers, abs, maximum and comparisons, in which NumPy gets from one core what can be got | relu
LOOP_OF_THREADS = 1 << 18
#: numbers in a row: of shorter rows a loop is mostly beginning and end, no faster than NumPy | mlp
NARROW = 1 << 4
#: numbers, one of NumPy's functions in pieces on all threads; a piece costs 20 to 50 us more | exp
PIECES = 1 << 20

# --- products of matrices (kernels/matmul/, ops/linear.py) ---------------------------------------

#: multiplications: up to here an op calls NumPy's dot itself, a few us | linear
PRODUCT_SMALL = 1 << 13
#: multiplications: up to here OpenBLAS stays on the calling thread, which is where it wins: 3 to
#: 7 us where tiles take 12 to 16 | ways linear 64 64 64
NUMPY_PRODUCT = 1 << 18
#: multiplications with a single row or column: the same | ways linear 1 128 64
NUMPY_VECTOR = 1 << 13
#: products in a sum: longer ones are added in pieces and float64; up to here one chain (in as many
#: lanes as a vector has) is exact enough | linear
LONG_SUM = 1 << 13
#: rows of x, or features: dots that copy nothing; with 1568 x 128 weights on one core, us: 13, 37,
#: 61, 192 for 1, 4, 8, 16 rows where tiles take 117, 118, 114, 135 | ways linear 8 1568 128
FEW_DOT_ROWS = 8
#: rows of g: sums of rows that copy nothing; as there: 14, 29, 56, 88 for 1, 2, 4, 8 rows where
#: tiles take 57 | ways linear_grad_x 4 128 1568
FEW_ADD_ROWS = 4
#: multiplications: a chunk of these loops | linear
FEW_ROWS_GRAIN = 1 << 16
#: multiplications: a chunk of tiles, some 5 us | linear
PRODUCT_GRAIN = 1 << 20
#: products in one go: a panel of B (64 KiB with AVX-512) streams from the second cache, and a tile
#: lasts long enough for its beginning and end to cost little: 256 took 6 % more | linear
PRODUCT_DEPTH = 512
#: products in a piece of the sum: 64 blocks are added in their order | linear
PRODUCT_LONGEST = 1 << 15
#: rows of C that a task fills in from one panel: enough to pay for packing it | linear
PRODUCT_TASK_ROWS = 256
#: panels that a task fills in from one block of A, for the same reason | linear
PRODUCT_TASK_PANELS = 4
#: tasks, at least, if there is enough to do: a constant, not the number of threads | linear
PRODUCT_TASKS = 4
#: pieces of the sum, at most, for the sake of threads | linear
PRODUCT_PIECES = 8

# --- softmax and losses (kernels/rowwise/) -------------------------------------------------------

#: numbers: a chunk, 2 to 4 us | softmax
SOFTMAX_GRAIN = 8_000
#: numbers that a row costs besides its own: each folds its vectors into one number, twice | softmax
SOFTMAX_ROW = 50
#: numbers: a chunk of binary cross-entropy, 10 us | binary_cross_entropy
LOGITS_LOSS_GRAIN = 16_384

# --- pooling (kernels/pool/) ---------------------------------------------------------------------

#: numbers read or compared: a chunk, some 2 us. With eight times as many the second layer of a CNN
#: pooled one image in the caller's thread: 57 us with the convolution before it, 47 on two | pool
POOL_GRAIN = 15_000
#: numbers that a row costs besides, about 10 ns | pool
POOL_ROW = 40

# --- recurrent layers (kernels/recurrent/) -------------------------------------------------------

#: rows that are faster one by one than as a tile that they do not fill | ways rnn 32 3 64 128
RNN_FEW = 3
#: rows that a thread takes through time together: W is read once a step for all | rnn
RNN_GROUP = 16
#: bytes of W: from here on it leaves no room in a second-level cache, and four times as many rows
#: share each reading of it | rnn
RNN_WEIGHT_BYTES = 1 << 19
#: multiplications: a chunk, some 20 to 30 us | rnn
RNN_GRAIN = 1_500_000
#: chunks, at most | rnn
RNN_CHUNKS = 32
#: numbers that all chunks' sums may take; four chunks there may always be | rnn
RNN_SUMS = 1 << 22
#: numbers added up: a chunk, some 20 us | rnn
RNN_ADD_GRAIN = 1 << 16

# --- convolution (kernels/conv/) -----------------------------------------------------------------

#: pieces that we like to cut a pass into, at least: a constant, not the number of threads | conv
CONV_PIECES = 8
#: flops: a chunk, 5 us on one core | conv
CONV_GRAIN = 1_000_000
#: outputs of an item: with 64 channels, 128 KiB of sums in a second-level cache | conv
CONV_POSITIONS = 512
#: taps in one go: so many rows of a panel of weights (24 KiB with AVX-512), and what they meet of
#: the image, fit a first-level cache | conv
CONV_DEPTH = 192
#: sums of an item: 256 KiB of a second-level cache | conv
CONV_SUMS = 1 << 16
#: numbers of packed weights: a chunk, 0.6 us. So little, since panels are best packed by the thread
#: that reads them: 36 KiB that the other core had packed took 7 us to come across | conv
CONV_PACK_GRAIN = 1 << 12
#: multiply-adds of a tile that one of a stencil costs, for the size of chunks | conv
DEPTHWISE_COST = 12
#: numbers of an item's image, and of its sums: 128 KiB of a second-level cache | conv
FLAT_BLOCK = 1 << 15
#: features: from here on a copy of the image for each column of taps pays | conv
FLAT_APART = 32
#: numbers of an image's result: up to here storing into it tile by tile pays; with 3 channels to 64
#: of 112 x 112, six times as many, it took 5 to 20 % longer than tiles
#: | ways conv2d 64,3,224,224 64,3,7,7 1 float32 112 112 2 2 3 3 1 1
FLAT_SPREAD = 1 << 17
#: channels: up to here 1x1 is flat
#: | ways conv2d 16,64,32,32 64,64,1,1 1 float32 32 32 1 1 0 0 1 1
FLAT_1X1 = 512
#: products in a sum: up to here weights as rows pay, also where they do not fit one vector
#: | ways conv2d 16,8,28,28 32,8,3,3 1 float32 28 28 1 1 1 1 1 1
FLAT_TERMS = 80
#: products in a sum of the convolution under a pooling in one pass; the tile alone takes longer for
#: more, and has other ways | cnn
POOLED_TERMS = 64
#: cells of a window of such a pooling | conv
POOLED_CELLS = 16
#: windows of an item, for all features: 32 KiB of g a cell | conv
POOLED_WINDOWS = 1 << 13
#: bytes of a convolution's result that a last-level cache keeps for the pooling | cnn
POOLED_BLOCK_BYTES = 1 << 24
#: bytes of turned x and of g that a row of tiles reads, of a first-level cache of 48 KiB | conv
GRAD_W_BYTES = 40_000
#: cost of a multiply-add in dot products along positions, in those of the best tile
#: | ways conv2d_grad_w 16,64,28,28 16,8,28,28 1 float32 0 3 3 1 1 1 1 1 1
GRAD_W_DOTS_COST = 1.3
#: positions of an item of dots: 8 rows of g with so many stay in a first-level cache | conv
GRAD_W_DOT_POSITIONS = 800
#: bytes of all pieces' sums together | conv
GRAD_W_PART_BYTES = 1 << 25
#: positions of g that are worth a piece: adding up its sums takes as long as 40 to 80 of them: with
#: 3x3, stride 2, 64 to 128 channels, 14 x 14 x 16 outputs 4 pieces take 0.92 of 8's time | conv
GRAD_W_SHARE = 768
#: sums that are added up in a first-level cache | conv
GRAD_W_ADDED = 4096
#: numbers added up: a chunk | conv
GRAD_W_ADD_GRAIN = 40_000
#: numbers of a channel of g that are added in their own precision, in blocks | conv
GRAD_W_TERMS = 1 << 20
#: numbers of the transformed image of an item: 512 KiB of a second-level cache of 2 MiB | conv
WINOGRAD_NUMBERS = 1 << 17
#: items that we like to cut a Winograd correlation into, at least | conv
WINOGRAD_ITEMS = 16
#: Winograd tiles that are worth sums of their own | conv
WINOGRAD_SHARE = 192
#: tasks of the gradient that we like to have, at least | conv
WINOGRAD_TASKS = 4
#: of the time of the direct way, at most, that Winograd's may be expected to take
#: | ways conv2d 16,64,28,28 64,64,3,3 1 float32 28 28 1 1 1 1 1 1
WINOGRAD_GAIN = 0.97
