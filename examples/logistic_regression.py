"""Logistic regression: is a breast tumour malignant?

569 tumours, each described by 30 numbers that were measured on the nuclei of its cells. The model
is P(malignant | x) = 1 / (1 + e^-(w x + b)): one linear layer whose single output, the logit,
is squeezed into a probability. It is judged on tumours that it never saw.
"""

import numpy as np
from common import argument_parser, data_file, plt, rehearsal, save_picture, stoppable
from tqdm import tqdm

import minigrad as mg
import minigrad.nn as nn
import minigrad.optim as optim


class LogisticRegression(nn.Module):
    def __init__(self, input_dim):
        super().__init__()
        self.linear = nn.Linear(input_dim, 1)

    def forward(self, x):
        return self.linear(x)  # the logit; the loss applies the sigmoid


parser = argument_parser(__file__, "Logistic regression on the breast-cancer table.")
args = parser.parse_args()
mg.manual_seed(args.seed)

# --- Data ---------------------------------------------------------------------------------------
table = np.loadtxt(data_file("breast_cancer.csv"), delimiter=",", skiprows=1, dtype=np.float32)
features, malignant = table[:, :-1], table[:, -1:]  # (569, 30), (569, 1)

order = np.random.default_rng(args.seed).permutation(len(table))
test, rest = order[:171], order[171:]  # 30 % is held out

# Scale every column to mean 0 and deviation 1, measured on the training rows only.
x = (features - features[rest].mean(0)) / features[rest].std(0)
x_train, y_train = mg.from_numpy(x[rest]), mg.from_numpy(malignant[rest])
x_test, y_test = mg.from_numpy(x[test]), mg.from_numpy(malignant[test])

# --- Training -----------------------------------------------------------------------------------
model = LogisticRegression(features.shape[1])
# Takes logits, not probabilities: log(sigmoid(z)) as one formula cannot overflow.
criterion = nn.BCEWithLogitsLoss()
# weight_decay keeps the weights small: with 30 columns for 398 tumours the training loss alone
# would reward ever more extreme weights.
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.003)


def learn():
    """One step on all tumours at once; returns the losses of training and held-out ones."""
    optimizer.zero_grad()
    loss = criterion(model(x_train), y_train)
    loss.backward()
    optimizer.step()
    with mg.no_grad():  # watched, never learnt from
        return loss.item(), criterion(model(x_test), y_test).item()


with rehearsal(model, optimizer):  # compiles
    learn()

losses = []
with stoppable(losses), tqdm(range(100 if args.quick else 400), desc="training") as bar:
    for _ in bar:
        losses.append(learn())  # noqa: PERF401, it shall hold what was learnt until Ctrl-C

# --- The figure on held-out data ----------------------------------------------------------------
with mg.no_grad():
    logit = model(x_test).numpy().ravel()
truth = malignant[test].ravel() == 1
predicted = logit > 0  # a probability above 0.5
accuracy = (predicted == truth).mean()
missed, false_alarms = (truth & ~predicted).sum(), (~truth & predicted).sum()
print(f"{len(test)} held-out tumours: accuracy {accuracy:.1%}", end=", ")
print(f"{missed} of {truth.sum()} malignant missed, false alarms: {false_alarms}")
print(f"always answering 'benign': accuracy {(~truth).mean():.1%}")

# The ROC curve asks for every threshold at once: how many malignant tumours are found (hits) at
# the price of how many false alarms? Going down the sorted logits lowers the threshold.
by_logit = truth[np.argsort(-logit)]
hits = np.concatenate([[0], by_logit.cumsum() / by_logit.sum()])
alarms = np.concatenate([[0], (~by_logit).cumsum() / (~by_logit).sum()])
area = (np.diff(alarms) * (hits[1:] + hits[:-1]) / 2).sum()

# --- The picture --------------------------------------------------------------------------------
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.3))
train_losses, test_losses = np.array(losses).T
steps = np.arange(1, len(losses) + 1)
left.plot(steps, train_losses, label="training")
left.plot(steps, test_losses, "--", label="held out")
left.set(xscale="log", xlabel="step (log scale)", ylim=(0, None))
left.set_ylabel("binary cross-entropy (nats)")
left.set_title("Loss")
left.legend()

# Most probabilities are close to 0 or 1; their logits, which the line computes, lie apart.
bins = np.arange(np.floor(logit.min()), np.ceil(logit.max()) + 1)
both = [logit[~truth], logit[truth]]
middle.hist(both, bins, stacked=True, label=["benign", "malignant"], edgecolor="white")
middle.axvline(0, color="black", linestyle="--", linewidth=1, label="decision")
middle.set(xlabel="logit w·x + b, and its probability", ylabel="held-out tumours")
middle.yaxis.get_major_locator().set_params(integer=True)
ticks = np.arange(bins[0] // 5 * 5, bins[-1] + 1, 5)
known = {-5: "\n0.7%", 0: "\n50%", 5: "\n99.3%"}
middle.set_xticks(ticks, [f"{z:.0f}{known.get(z, '')}" for z in ticks])
middle.set_title(f"Held-out predictions: {accuracy:.1%} right")
middle.legend()

# Of the whole square only the corner is shown in which something happens.
at = false_alarms / (~truth).sum(), 1 - missed / truth.sum()
found_all, found_first = alarms[np.argmax(hits == 1)], hits[np.argmax(alarms > 0) - 1]
right.plot(alarms, hits, label=f"model: {area:.3f} of the whole square\nbelow it (guessing: 0.5)")
right.plot(*at, "o", color="black", clip_on=False, zorder=3, label="decision at logit 0")
right.set_xlim(0, min(1, max(0.05, 1.5 * found_all, 1.5 * at[0])))
right.set_ylim(max(0, min(found_first, at[1]) - 0.06), 1.003)
right.set(xlabel="false alarms among the benign", ylabel="hits among the malignant")
right.set_title("The corner of the ROC curve, held out")
right.legend(loc="lower right")
save_picture(figure, args.out)
