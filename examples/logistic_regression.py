"""Logistic regression: is a breast tumour malignant?

569 tumours, each described by 30 numbers that were measured on the nuclei of its cells. The model
is P(malignant | x) = 1 / (1 + e^-(w x + b)): one linear layer whose single output, the logit,
is squeezed into a probability. It is judged on tumours that it never saw.
"""

import numpy as np
from common import argument_parser, data_file, plt, save_picture
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

train_losses, test_losses = [], []
for _ in tqdm(range(100 if args.quick else 400), desc="training"):
    optimizer.zero_grad()
    loss = criterion(model(x_train), y_train)
    loss.backward()
    optimizer.step()
    train_losses.append(loss.item())
    with mg.no_grad():  # watched, never learnt from
        test_losses.append(criterion(model(x_test), y_test).item())

# --- The figure on held-out data ----------------------------------------------------------------
with mg.no_grad():
    score = mg.sigmoid(model(x_test)).numpy().ravel()
truth = malignant[test].ravel() == 1
predicted = score > 0.5
accuracy = (predicted == truth).mean()
missed, false_alarms = (truth & ~predicted).sum(), (~truth & predicted).sum()
print(f"{len(test)} held-out tumours: accuracy {accuracy:.1%}", end=", ")
print(f"{missed} of {truth.sum()} malignant missed, false alarms: {false_alarms}")
print(f"always answering 'benign': accuracy {(~truth).mean():.1%}")

# The ROC curve asks for every threshold at once: how many malignant tumours are found (hits) at
# the price of how many false alarms? Going down the sorted scores lowers the threshold.
by_score = truth[np.argsort(-score)]
hits = np.concatenate([[0], by_score.cumsum() / by_score.sum()])
alarms = np.concatenate([[0], (~by_score).cumsum() / (~by_score).sum()])
area = (np.diff(alarms) * (hits[1:] + hits[:-1]) / 2).sum()

# --- The picture --------------------------------------------------------------------------------
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.3))
left.plot(train_losses, label="training")
left.plot(test_losses, label="held out")
left.set(xlabel="step", ylabel="binary cross-entropy (nats)", ylim=(0, None))
left.set_title("Loss")
left.legend()

bins = np.linspace(0, 1, 21)
middle.hist(score[~truth], bins, alpha=0.7, label="benign", color="tab:blue")
middle.hist(score[truth], bins, alpha=0.7, label="malignant", color="tab:red")
middle.axvline(0.5, color="black", linestyle="--", linewidth=1, label="decision")
middle.set(yscale="log", xlabel="predicted probability of malignant", ylabel="tumours (log scale)")
middle.set_title(f"Held-out predictions: {accuracy:.1%} right")
middle.legend(loc="upper left", bbox_to_anchor=(0.52, 1))  # right of the decision, above the bars

right.plot(alarms, hits, label=f"model (area under the curve {area:.3f})")
right.plot([0, 1], [0, 1], color="grey", linestyle=":", label="guessing (0.500)")
right.plot(false_alarms / (~truth).sum(), 1 - missed / truth.sum(), "ko", label="threshold 0.5")
right.set(xlabel="false alarms among the benign", ylabel="hits among the malignant")
right.set_title("ROC curve on held-out tumours")
right.legend(loc="lower right")
save_picture(figure, args.out)
