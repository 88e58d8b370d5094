"""Text generation: the article's recurrent network reads Moby Dick and learns to write.

It reads one character after the other and says, after each, how likely every possible next
character is. It learns from the first nine tenths of the book. The last tenth measures it, in
bits: how many yes/no questions each next character costs a reader who knows the model's guesses.
Then it writes: draw a character from its own guesses, feed it back, and go on.
"""

import gzip
import textwrap

import numpy as np
from common import above_zero, argument_parser, data_file, plt, positive, rehearsal
from common import running_mean, save_picture, stoppable
from tqdm import tqdm

import minigrad as mg
import minigrad.nn as nn
import minigrad.nn.functional as F
import minigrad.optim as optim


class RNN(nn.Module):
    def __init__(self, input_dim, hidden_dim, output_dim):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.rnn = nn.RNN(input_dim, hidden_dim, batch_first=True)
        self.fc = nn.Linear(hidden_dim, output_dim)

    def forward(self, x, h0):  # (N, T, characters), (1, N, hidden_dim)
        # The article looks at the last step only; here every step has something to predict.
        out, hn = self.rnn(x, h0)
        return self.fc(out), hn  # (N, T, characters): a score for each possible next character

    def first_state(self, batch):
        return mg.zeros(1, batch, self.hidden_dim)


def rows(ids, count):
    """Cut one long text into `count` equal pieces, read side by side: (count, length)."""
    length = len(ids) // count
    return ids[: count * length].reshape(count, length)


def one_hot(ids):
    """A character is a vector of zeros with a single 1 at its number: (N, T) -> (N, T, V)."""
    return mg.from_numpy(np.eye(len(characters), dtype=np.float32)[ids])


def bits_per_character(model, ids, steps=100):
    """Mean of -log2 P(next character) over the text `ids`."""
    text = rows(ids, min(32, len(ids) // (steps + 1)))
    h, nats, count = model.first_state(len(text)), 0.0, 0
    with mg.no_grad():
        for t in range(0, text.shape[1] - 1, steps):
            x = text[:, t : t + steps + 1]
            scores, h = model(one_hot(x[:, :-1]), h)
            y = mg.from_numpy(x[:, 1:].reshape(-1))
            nats += F.cross_entropy(scores.reshape(len(y), -1), y, reduction="sum").item()
            count += len(y)
    return nats / count / np.log(2)


def write(model, prompt, length, temperature, rng):
    """Continue `prompt`. A temperature below 1 makes it careful, above 1 adventurous."""
    h, text = model.first_state(1), prompt
    ids = [[characters.index(c) for c in prompt]]
    with mg.no_grad():
        for _ in range(length):
            scores, h = model(one_hot(ids), h)
            p = F.softmax(scores[0, -1] / temperature, dim=0).numpy().astype(np.float64)
            ids = [[rng.choice(len(p), p=p / p.sum())]]
            text += characters[ids[0][0]]
    return text


parser = argument_parser(__file__, "A character RNN learns from Moby Dick, then writes.")
parser.add_argument("--steps", type=positive, help="training steps (default 4000; --quick 60)")
parser.add_argument("--hidden", type=positive, default=256, help="size of its memory (default 256)")
parser.add_argument("--prompt", default="The whale ", help="start of the text ('The whale ')")
parser.add_argument("--length", type=positive, default=800, help="how much to write (default 800)")
parser.add_argument(
    "--temperature", type=above_zero, default=0.7, help="0.2 careful, 1.2 wild (default 0.7)"
)
args = parser.parse_args()
mg.manual_seed(args.seed)

# --- Data ---------------------------------------------------------------------------------------
with gzip.open(data_file("moby_dick.txt.gz"), "rt", encoding="utf-8") as file:
    book = file.read()
characters = sorted(set(book))
unknown = "".join(sorted(set(args.prompt) - set(characters)))
if not args.prompt:
    parser.error("--prompt is empty: the network needs at least one character to start from")
if unknown:
    parser.error(f"--prompt has characters that are not in the book: {unknown!r}")
number = {character: i for i, character in enumerate(characters)}
ids = np.array([number[character] for character in book], dtype=np.int64)
split = len(ids) * 9 // 10
train, held_out = ids[:split], ids[split:]
if args.quick:
    held_out = held_out[:10_000]

# --- What one can know without a network --------------------------------------------------------
# Uniform: any character. Unigram: how often each occurs. Bigram: how often each follows the last
# one. Counted on the training part, with 1 added so that nothing is impossible.
V = len(characters)
single = np.bincount(train, minlength=V) + 1.0
pairs = np.bincount(train[:-1] * V + train[1:], minlength=V * V).reshape(V, V) + 1.0
follows = pairs / pairs.sum(1, keepdims=True)
baselines = {
    "uniform": np.log2(V),
    "unigram": -np.log2(single / single.sum())[held_out].mean(),
    "bigram": -np.log2(follows[held_out[:-1], held_out[1:]]).mean(),
}

# --- Training -----------------------------------------------------------------------------------
# 32 places of the book are read side by side, 64 characters a step. Each place keeps its memory
# from step to step, so the network can know more than 64 characters; but the gradient stops at
# the border (detach), or the chain of steps would reach back to the beginning of the book.
BATCH, STEPS_IN_TIME = 32, 64
text = rows(train, BATCH)
per_epoch = (text.shape[1] - 1) // STEPS_IN_TIME
steps = args.steps or (60 if args.quick else 4000)

model = RNN(input_dim=V, hidden_dim=args.hidden, output_dim=V)
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


def learn(step, h):
    """One step of training; returns its bits a character and the memory after it."""
    start = step % per_epoch * STEPS_IN_TIME
    if start == 0:
        h = model.first_state(BATCH)
    piece = text[:, start : start + STEPS_IN_TIME + 1]
    x, y = one_hot(piece[:, :-1]), mg.from_numpy(piece[:, 1:].reshape(-1))
    optimizer.zero_grad()
    scores, h = model(x, h.detach())
    loss = criterion(scores.reshape(len(y), V), y)
    loss.backward()
    # Gradients through time explode now and then; cut long ones to a fixed length. That is what
    # makes so large a learning rate safe.
    nn.utils.clip_grad_norm_(model.parameters(), 0.3)
    optimizer.step()
    return loss.item() / np.log(2), h


with rehearsal(model, optimizer):  # compiles
    learn(0, None)
    bits_per_character(model, held_out[:5_000])

train_bits, watched, h = [], [], None
with stoppable(train_bits), tqdm(range(steps), desc="training", unit="step") as bar:
    for step in bar:
        bits, h = learn(step, h)
        schedule.step()
        train_bits.append(bits)
        if (step + 1) % max(1, steps // 16) == 0 and step + 1 < steps:
            # Watched on the first part of the held-out text, never learnt from.
            watched.append((step + 1, bits_per_character(model, held_out[:20_000])))
            bar.set_postfix_str(f"held out {watched[-1][1]:.2f} bits")

# --- The figure on the held-out tenth of the book -----------------------------------------------
bits = bits_per_character(model, held_out)
print(f"held-out text of {len(held_out):,} characters: {bits:.3f} bits a character")
print("without a network: " + ", ".join(f"{name} {b:.2f}" for name, b in baselines.items()))
written = write(model, args.prompt, args.length, args.temperature, np.random.default_rng(args.seed))
print(f"\n--- written at temperature {args.temperature} ---\n{written}\n---")

# --- The picture --------------------------------------------------------------------------------
figure, (left, right) = plt.subplots(1, 2, figsize=(14, 5.2), width_ratios=[1.15, 1])
steps = len(train_bits)
window = max(1, min(100, steps // 20))
smooth = running_mean(train_bits, window)
left.plot(np.arange(1, steps + 1), smooth, label=f"training (mean of {window} steps)")
when, seen = np.array(watched).reshape(-1, 2).T
left.plot(when, seen, "o-", markersize=4, label="held out, its beginning")
left.plot(steps, bits, "k*", markersize=11, label=f"held out, whole: {bits:.2f} bits")
for name, b in baselines.items():
    left.axhline(b, color="grey", linestyle=":", linewidth=1)
    left.text(steps, b + 0.04, f"{name} {b:.2f}", ha="right", color="dimgrey", fontsize=9)
left.set(xlabel="step (32 × 64 characters)", ylabel="bits a character", ylim=(1.5, 7))
left.set_title("How surprising is the next character?")
left.legend(loc="upper center", bbox_to_anchor=(0.5, 0.88))

# Where its lines end is the book's habit; here the paragraphs are filled anew, in the largest type
# with which all of it fits on the page.
right.axis("off")
right.set_title(f"What it writes (temperature {args.temperature})")
page = right.text(0, 0.98, "", va="top", family="serif", linespacing=1.5)
page.set_in_layout(False)  # the words shall not squeeze the curve
page.set_parse_math(False)  # a dollar sign is a dollar sign
figure.canvas.draw()  # the panels get their sizes
panel = right.get_window_extent()
page.set(text=" ".join(written.split()), fontsize=10)
letter = page.get_window_extent().width / len(page.get_text()) / 10  # at size 1
for size in np.arange(20, 8, -0.25):
    width = int(0.9 * panel.width / (letter * size))  # letters that fit into a line
    paragraphs = (textwrap.wrap(paragraph, width) for paragraph in written.split("\n\n"))
    lines = [line for paragraph in paragraphs for line in (*paragraph, "")][:-1]
    page.set(text="\n".join(lines), fontsize=size)
    height = page.get_window_extent().height
    if height < 0.97 * panel.height:
        page.set_linespacing(1.5 * min(1.3, 0.97 * panel.height / height))  # what is left: between
        break
else:  # a long text: its beginning
    page.set_text("\n".join(lines[: int(len(lines) * 0.97 * panel.height / height)]))
save_picture(figure, args.out)
