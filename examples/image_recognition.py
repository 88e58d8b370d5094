"""Image recognition: the article's convolutional network learns to tell clothes apart.

Fashion-MNIST: grey pictures of 28 x 28 pixels in ten classes. A balanced part of it, 10,000
training and 2,000 test images, travels with the repository; --full trains on all 60,000 and
tests on 10,000. The accuracy at the end is measured on test images only.
"""

import sys

import numpy as np
from common import above_zero, argument_parser, data_file, plt, positive, rehearsal
from common import running_mean, save_picture, stoppable
from tqdm import tqdm

import minigrad as mg
import minigrad.nn as nn
import minigrad.nn.functional as F
import minigrad.optim as optim
from minigrad.data import DataLoader, TensorDataset, load_fashion_mnist

CLASSES = ["T-shirt", "trousers", "pullover", "dress", "coat"]
CLASSES += ["sandal", "shirt", "sneaker", "bag", "ankle boot"]


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, kernel_size=3, stride=1, padding=1)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=3, stride=1, padding=1)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.fc1 = nn.Linear(64 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):  # (N, 1, 28, 28)
        x = self.pool(F.relu(self.conv1(x)))  # (N, 32, 14, 14)
        x = self.pool(F.relu(self.conv2(x)))  # (N, 64, 7, 7)
        x = x.view(-1, 64 * 7 * 7)
        x = F.relu(self.fc1(x))  # (N, 128)
        return self.fc2(x)  # (N, 10): one score a class


def load(args):
    """Training images and labels, test images and labels, as uint8 arrays."""
    if args.full:
        with tqdm(desc="loading Fashion-MNIST", unit="B", unit_scale=True) as bar:
            arrays = []
            for train in (True, False):
                arrays += load_fashion_mnist(args.data, train, download=args.data is None,
                                             progress=lambda done, total: bar.update(done - bar.n))
    else:
        file = np.load(data_file("fashion_mnist_subset.npz"))
        names = ("train_images", "train_labels", "test_images", "test_labels")
        arrays = [file[name] for name in names]
    if args.quick:
        arrays = [array[:n] for array, n in zip(arrays, (2000, 2000, 500, 500), strict=True)]
    return arrays


def dataset(images, labels):
    # 0..255 becomes mean 0, deviation 1 (0.286 and 0.353 are those of the training images), and
    # each image gets an axis for its one colour channel: (N, 28, 28) -> (N, 1, 28, 28).
    x = (images[:, None].astype(np.float32) / 255 - 0.286) / 0.353
    return TensorDataset(mg.from_numpy(x), mg.from_numpy(labels.astype(np.int64)))


def test(model, data):
    """Class probabilities (N, 10) for every image of `data`, in order."""
    with mg.no_grad():
        batches = [F.softmax(model(x), dim=1).numpy() for x, _ in DataLoader(data, batch_size=250)]
    return np.concatenate(batches)


parser = argument_parser(__file__, "The article's CNN on Fashion-MNIST.")
parser.add_argument(
    "--full", action="store_true", help="all 70,000 images (downloaded once, 30 MB)"
)
parser.add_argument("--data", metavar="FOLDER", help="with --full: the four .gz files are here")
parser.add_argument("--epochs", type=positive, help="passes over the data (default 10; --quick 2)")
parser.add_argument("--lr", type=above_zero, default=0.05, help="first learning rate (0.05)")
args = parser.parse_args()
if args.data and not args.full:
    parser.error("--data is where the complete data set is: use it together with --full")
epochs = args.epochs or (2 if args.quick else 10)
mg.manual_seed(args.seed)

try:
    train_images, train_labels, test_images, test_labels = load(args)
except (OSError, ValueError) as error:  # no network, no such folder, a damaged file: it says so
    sys.exit(f"error: {error} (here, root= is --data)" if args.full else f"error: {error}")
train_data, test_data = dataset(train_images, train_labels), dataset(test_images, test_labels)
shuffle = mg.Generator().manual_seed(args.seed)
loader = DataLoader(train_data, batch_size=64, shuffle=True, drop_last=True, generator=shuffle)

# --- Training -----------------------------------------------------------------------------------
model = CNN()
criterion = nn.CrossEntropyLoss()
# The article's plain SGD with lr=0.01 gets there too, but slowly. Momentum keeps nine tenths of
# the last step's direction, and the learning rate glides down to zero along half a cosine: long
# strides at first, and no more jumping around the minimum at the end.
optimizer = optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, weight_decay=5e-4)
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))


def learn(x, y):
    """One step on a batch; returns its loss."""
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


with rehearsal(model, optimizer):  # compiles
    learn(*train_data[:64])
    test(model, TensorDataset(*test_data[:250]))

train_losses, test_losses, ends = [], [], []
steps = epochs * len(loader)
with stoppable(train_losses), tqdm(total=steps, desc="training", unit="batch") as bar:
    for _ in range(epochs):
        for x, y in loader:
            train_losses.append(learn(x, y))
            schedule.step()
            bar.update()
        # Watched after each epoch, never learnt from.
        probability = test(model, test_data)
        right = probability[np.arange(len(test_labels)), test_labels]
        ends.append(len(train_losses))
        test_losses.append(-np.log(right + 1e-12).mean())
        accuracy = (probability.argmax(1) == test_labels).mean()
        bar.set_postfix_str(f"test accuracy {accuracy:.1%}")

# --- The figure on held-out images --------------------------------------------------------------
probability = test(model, test_data)
predicted = probability.argmax(1)
accuracy = (predicted == test_labels).mean()
print(f"{len(test_labels):,} held-out images: accuracy {accuracy:.2%} (guessing: 10 %)")

# --- The picture --------------------------------------------------------------------------------
figure = plt.figure(figsize=(17, 5.6))
left, middle, right = figure.subfigures(1, 3, width_ratios=[1, 1.15, 1.15])

axes = left.subplots()
steps = np.arange(1, len(train_losses) + 1)
axes.plot(steps, train_losses, color="C0", alpha=0.25, linewidth=0.7)
window = max(1, min(50, len(train_losses) // 5))
smooth = running_mean(train_losses, window)
axes.plot(steps, smooth, color="C0", label=f"training (mean of {window} steps)")
axes.plot(ends, test_losses, "o-", color="C1", label="held out, after each epoch")
axes.set(yscale="log", xlabel="step (batches of 64 images)")
axes.set_ylabel("cross-entropy (nats, log scale)")
axes.yaxis.set(major_locator=plt.LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}")
axes.yaxis.set_minor_locator(plt.NullLocator())
axes.set_title("Loss")
axes.legend()

# Row: what it is. Column: what the model says. A perfect model fills only the diagonal.
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (test_labels, predicted), 1)
axes = middle.subplots()
share = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
for (row, column), count in np.ndenumerate(confusion):
    if count:
        colour = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, count, ha="center", va="center", color=colour, fontsize=8)
axes.set_xticks(range(10), CLASSES, rotation=45, ha="right")
axes.set_yticks(range(10), CLASSES)
axes.set(xlabel="predicted class", ylabel="true class")
axes.grid(False)
axes.set_title(f"Confusion on held-out images: {accuracy:.1%} right")

# The worst mistakes: wrong answers that the model was surest of.
confidence = np.where(predicted != test_labels, probability.max(1), 0)
worst = np.argsort(-confidence)[:12]
right.suptitle("The worst mistakes: wrong, and sure of it", fontweight="bold", fontsize=11)
for axes, i in zip(right.subplots(3, 4).flat, worst, strict=True):
    axes.axis("off")
    if confidence[i] > 0:
        axes.imshow(test_images[i], cmap="gray_r")
        says = f"says {CLASSES[predicted[i]]} ({confidence[i]:.0%})"
        axes.set_title(f"{says}\nis {CLASSES[test_labels[i]]}", fontsize=8.5, weight="normal")
save_picture(figure, args.out)
