"""Linear regression twice: the smallest possible data, then real penguins.

Part 1 is the article's program: from four points on the line y = 2x the model finds that line.
Part 2 gives the same model a real table: how heavy is a penguin, from the size of its bill and
flippers, its sex and its species? The answer is checked on penguins that it never saw.
"""

import csv

import numpy as np
from common import argument_parser, data_file, plt, save_picture, stoppable
from tqdm import tqdm

import minigrad as mg
import minigrad.nn as nn
import minigrad.optim as optim


class LinearRegression(nn.Module):
    def __init__(self, input_dim, output_dim):
        super().__init__()
        self.linear = nn.Linear(input_dim, output_dim)

    def forward(self, x):
        return self.linear(x)


def train(model, x, y, lr, steps, title):
    """Full-batch gradient descent on the mean squared error; returns the loss of every step."""
    criterion = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=lr)
    losses = []
    with stoppable(losses):
        for _ in tqdm(range(steps), desc=title):
            optimizer.zero_grad()
            y_pred = model(x)
            loss = criterion(y_pred, y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def load_penguins():
    """x: (333, 6) features, y: (333, 1) body mass in grams; rows with missing values dropped."""
    features, masses = [], []
    with open(data_file("penguins.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if "NA" in row.values():
                continue
            features.append(
                [
                    float(row["bill_length_mm"]),
                    float(row["bill_depth_mm"]),
                    float(row["flipper_length_mm"]),
                    # Words become numbers. Two columns are enough for three species: a penguin
                    # that is neither a Chinstrap nor a Gentoo is an Adelie.
                    row["sex"] == "male",
                    row["species"] == "Chinstrap",
                    row["species"] == "Gentoo",
                ]
            )
            masses.append([float(row["body_mass_g"])])
    return np.array(features, np.float32), np.array(masses, np.float32)


parser = argument_parser(__file__, "Linear regression on four points, then on real penguins.")
args = parser.parse_args()
mg.manual_seed(args.seed)

# --- Part 1: the article's program --------------------------------------------------------------
x = mg.tensor([[1.0], [2.0], [3.0], [4.0]], dtype=mg.float32)
y = mg.tensor([[2.0], [4.0], [6.0], [8.0]], dtype=mg.float32)
model = LinearRegression(input_dim=1, output_dim=1)
train(model, x, y, lr=0.01, steps=1000, title="four points")
with mg.no_grad():
    print("wanted 2, 4, 6, 8; predicted", model(x).numpy().ravel().round(2))

# --- Part 2: a real table -----------------------------------------------------------------------
features, masses = load_penguins()
order = np.random.default_rng(args.seed).permutation(len(features))
test, rest = order[:83], order[83:]  # a quarter is held out: the model never sees it

# Millimetres, grams and 0/1 have very different sizes, and gradient descent crawls along the
# small ones. So every column is shifted and scaled to mean 0 and deviation 1 - measured on the
# training rows only, because the held-out rows must stay unknown.
x_mean, x_std = features[rest].mean(0), features[rest].std(0)
y_mean, y_std = masses[rest].mean(), masses[rest].std()
x = (features - x_mean) / x_std
y = (masses - y_mean) / y_std

model = LinearRegression(input_dim=features.shape[1], output_dim=1)
losses = train(
    model,
    mg.from_numpy(x[rest]),
    mg.from_numpy(y[rest]),
    lr=0.1,
    steps=200 if args.quick else 1000,
    title="penguins   ",
)

with mg.no_grad():
    predicted = model(mg.from_numpy(x[test])).numpy() * y_std + y_mean
truth = masses[test]
rmse = float(np.sqrt(((predicted - truth) ** 2).mean()))
rmse_of_mean = float(np.sqrt(((y_mean - truth) ** 2).mean()))
r2 = 1 - rmse**2 / rmse_of_mean**2
print(f"{len(test)} held-out penguins: error {rmse:.0f} g (RMSE), R^2 {r2:.3f}")
print(f"always guessing the training mean ({y_mean:.0f} g): error {rmse_of_mean:.0f} g, R^2 0")

# --- The picture --------------------------------------------------------------------------------
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.3))
left.plot(range(1, len(losses) + 1), losses)
left.set(xscale="log", ylim=(0, None), xlabel="step (log scale)")
left.set_ylabel("mean squared error (scaled units)")
left.set_title("Training loss")

limits = [2500, 6500]
middle.plot(limits, limits, color="grey", linewidth=1, label="perfect prediction")
for name, marker, chosen in (
    ("Adelie", "o", (features[test, 4] == 0) & (features[test, 5] == 0)),
    ("Chinstrap", "^", features[test, 4] == 1),
    ("Gentoo", "s", features[test, 5] == 1),
):
    middle.scatter(truth[chosen], predicted[chosen], 22, marker=marker, alpha=0.75, label=name)
middle.set(xlabel="measured body mass (g)", ylabel="predicted body mass (g)")
middle.set(xlim=limits, ylim=limits, aspect="equal", xticks=range(3000, 6001, 1000))
middle.set_title(f"Held-out penguins: R² {r2:.2f}, error {rmse:.0f} g")
middle.legend()

# A weight says how many grams one typical deviation of its column adds, all others held still. A
# column of words has no typical deviation: there the difference between 1 and 0 is shown.
names = ["bill length: +1 deviation", "bill depth: +1 deviation", "flippers: +1 deviation"]
names += ["male, not female", "Chinstrap, not Adelie", "Gentoo, not Adelie"]
weights = model.linear.weight.detach().numpy().ravel() * y_std
weights[3:] /= x_std[3:]
bars = right.barh(names, weights)
right.bar_label(bars, [f"{w:+.0f} g".replace("-", "−") for w in weights], padding=4, fontsize=9)
right.invert_yaxis()
right.axvline(0, color="black", linewidth=0.8)
right.locator_params(axis="x", nbins=5)
room = 0.3 * np.ptp([0, *weights])  # for the numbers
right.set_xlim(min(0, weights.min()) - room, max(0, weights.max()) + room)
right.set(xlabel="change of the predicted mass (g)")
right.set_title("What the model learnt")
save_picture(figure, args.out)
