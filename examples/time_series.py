"""Time series: a recurrent network forecasts the carbon dioxide of the air, a year ahead.

The monthly record of Mauna Loa, Hawaii, 1958-2001: it rises from year to year and swings with
the seasons. The network reads five years and names the next twelve months. It learns from the
years before 1990 and is judged on 1990-2001, against forecasts that need no learning at all:
a model that cannot beat those is worth nothing, however small its loss.
"""

import numpy as np
from common import argument_parser, data_file, plt, rehearsal, save_picture, stoppable
from tqdm import tqdm

import minigrad as mg
import minigrad.nn as nn
import minigrad.optim as optim
from minigrad.data import DataLoader, TensorDataset

PAST, FUTURE = 60, 12  # months read, months forecast


class RNN(nn.Module):
    def __init__(self, input_dim, hidden_dim, output_dim):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.rnn = nn.RNN(input_dim, hidden_dim, batch_first=True)
        self.fc = nn.Linear(hidden_dim, output_dim)

    def forward(self, x):  # (N, PAST, 1)
        h0 = mg.zeros(1, x.size(0), self.hidden_dim)
        out, _ = self.rnn(x, h0)
        return self.fc(out[:, -1, :])  # the state after the last month -> (N, FUTURE)


def load():
    """Months as 'YYYY-MM' and their CO2 in parts per million; 5 missing months interpolated."""
    rows = [line.split(",") for line in data_file("co2_monthly.csv").read_text().split()[1:]]
    values = np.array([float(value) if value else np.nan for _, value in rows])
    known = np.isfinite(values)
    every = np.arange(len(values))
    return [month for month, _ in rows], np.interp(every, every[known], values[known])


def windows(series, first, last):
    """Every origin whose FUTURE lies in series[first:last]: pasts (n, 60), futures (n, 12)."""
    origins = range(max(first, PAST), last - FUTURE + 1)
    pasts = np.stack([series[t - PAST : t] for t in origins])
    futures = np.stack([series[t : t + FUTURE] for t in origins])
    return pasts, futures


def rmse(forecasts, futures, axis=None):
    return np.sqrt(((forecasts - futures) ** 2).mean(axis))


parser = argument_parser(__file__, "An RNN forecasts atmospheric CO2 twelve months ahead.")
args = parser.parse_args()
mg.manual_seed(args.seed)

# --- Data ---------------------------------------------------------------------------------------
months, series = load()
split = months.index("1990-01")
train_pasts, train_futures = windows(series, 0, split)
test_pasts, test_futures = windows(series, split, len(series))

# The level of the series never returns: what the network learns about 330 ppm must hold at
# 370 ppm. So it sees every window relative to its last month, and forecasts the change from there.
scale_x = (train_pasts - train_pasts[:, -1:]).std()
scale_y = (train_futures - train_pasts[:, -1:]).std()
x_train = ((train_pasts - train_pasts[:, -1:]) / scale_x)[..., None].astype(np.float32)
x_test = ((test_pasts - test_pasts[:, -1:]) / scale_x)[..., None].astype(np.float32)
y_train = ((train_futures - train_pasts[:, -1:]) / scale_y).astype(np.float32)

# --- Training -----------------------------------------------------------------------------------
model = RNN(input_dim=1, hidden_dim=32, output_dim=FUTURE)
criterion = nn.MSELoss()
optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
data = TensorDataset(mg.from_numpy(x_train), mg.from_numpy(y_train))
shuffle = mg.Generator().manual_seed(args.seed)
loader = DataLoader(data, batch_size=32, shuffle=True, drop_last=True, generator=shuffle)
epochs = 60 if args.quick else 200
schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)


def learn(x, y):
    """One step on a batch; returns its loss."""
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    # Through 60 months the gradient is a product of 60 factors and may explode: cut it short.
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def forecast_change():
    """What the network says of every held-out year: (n, 12), in ppm."""
    with mg.no_grad():
        return model(mg.from_numpy(x_test)).numpy() * scale_y


with rehearsal(model, optimizer):  # compiles
    learn(*data[:32])
    forecast_change()

losses = []
with stoppable(losses):
    for _ in tqdm(range(epochs), desc="training", unit="epoch"):
        losses.append(np.mean([learn(x, y) for x, y in loader]))
        schedule.step()

# --- The figures on held-out years --------------------------------------------------------------
change = forecast_change()
last, a_year_ago = test_pasts[:, -1:], test_pasts[:, -12:]
forecasts = {
    "last value": np.repeat(last, FUTURE, axis=1),
    "last season": a_year_ago,
    # The strongest of the three: last year again, plus the rise of the past year.
    "last season + rise": a_year_ago + (last - test_pasts[:, -13:-12]),
    "RNN": last + change,
}
print(f"{len(test_pasts)} held-out forecasts, {months[split]} to {months[-1]}, 12 months each:")
errors = {name: rmse(forecast, test_futures) for name, forecast in forecasts.items()}
for name, error in errors.items():
    print(f"  {name:<20} error {error:.2f} ppm (RMSE)")
best = min((name for name in errors if name != "RNN"), key=errors.get)
gain = 1 - errors["RNN"] / errors[best]
if gain > 0:
    print(f"the RNN beats the best naive forecast ({best}) by {gain:.0%}")
else:
    print(f"the RNN does NOT beat the naive forecast '{best}': its error is {-gain:.0%} larger")

# --- The picture --------------------------------------------------------------------------------
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.5), width_ratios=[1.5, 1, 1])
years = 1958 + (np.arange(len(series)) + 2) / 12  # the record starts in March 1958
shown = slice(split - 12, None)
left.plot(years[shown], series[shown], color="black", linewidth=1, label="measured")
left.axvline(years[split], color="grey", linestyle=":", label="held out from here")
for number, row in enumerate(range(0, len(test_pasts), FUTURE)):  # one forecast each January
    place = slice(split + row, split + row + FUTURE)
    label = "RNN, forecast every January" if number == 0 else None
    left.plot(years[place], forecasts["RNN"][row], color="C1", linewidth=1.6, label=label)
left.set(xlabel="year", ylabel="CO₂ at Mauna Loa (ppm)")
left.set_title("Forecasts of held-out years")
left.legend()

styles = [("C3", "v:"), ("C2", "^--"), ("C0", "s-."), ("C1", "o-")]
for (name, forecast), (color, style) in zip(forecasts.items(), styles, strict=True):
    error = rmse(forecast, test_futures, axis=0)
    middle.plot(range(1, FUTURE + 1), error, style, color=color, markersize=4, label=name)
middle.set(yscale="log", xlabel="months ahead", ylabel="held-out error, RMSE (ppm, log scale)")
middle.yaxis.set(major_locator=plt.LogLocator(subs=(1, 2, 3, 5)), major_formatter="{x:g}")
middle.yaxis.set_minor_locator(plt.NullLocator())
middle.set_xticks(range(1, FUTURE + 1))
middle.set_title("Error by months ahead")
middle.legend(loc="lower right", fontsize=9)

right.plot(range(1, len(losses) + 1), losses)
right.set(yscale="log", xlabel="epoch", ylabel="mean squared error (scaled units, log scale)")
right.yaxis.set(major_locator=plt.LogLocator(subs=(1, 2, 5)), major_formatter="{x:g}")
right.yaxis.set_minor_locator(plt.NullLocator())
right.set_title("Training loss")
save_picture(figure, args.out)
