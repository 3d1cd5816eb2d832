"""Draw the picture of the README: where nobody asked, posterior draws toss a coin.

Run with: python docs/readme_picture.py
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bayespref import run
from bayespref.simulate.scenarios import blind_spot

world = blind_spot(seed=1)
tree = run(
    world.comparisons,
    model="latent_types",
    options={"types_observed": True, "reward_scale": 2.0},
    reward_range=world.reward_range,
    regions="state_type",
    progress=False,
)
off = ~np.eye(world.comparisons.n_items, dtype=bool)
disagreement = tree["disagree"]["draw_pair_disagreement"].values[..., off].mean(-1)
count = tree["graph"]["type_count"].values
decision = tree["defer"]["value_identified"].values.reshape(count.shape) > 0
states, types = world.comparisons.states, world.comparisons.contexts

figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.3), layout="constrained")
rows, columns = np.indices(count.shape)
axes[0].imshow(np.where(count > 0, count, np.nan), cmap="Blues", vmin=0, vmax=2 * count.max(), aspect="auto")
for row, column in zip(rows.ravel(), columns.ravel(), strict=True):
    if count[row, column] == 0:
        axes[0].add_patch(
            plt.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="////", edgecolor="0.55", linewidth=0)
        )
    label = f"{count[row, column]:,.0f}" if count[row, column] else "never asked"
    behind = "none" if count[row, column] else "white"
    axes[0].text(column, row, label, ha="center", va="center", backgroundcolor=behind)
axes[0].set(xticks=range(len(types)), yticks=range(len(states)), xticklabels=types, yticklabels=states)
axes[0].set_title("20,000 comparisons, two cells nobody visited", loc="left", fontsize=11)
place = np.arange(count.size)
flat, missing = disagreement.ravel(), count.ravel() == 0
names = [f"{state}, {kind}" for state in states for kind in types]
axes[1].barh(place[~missing], flat[~missing], color="#0072b2", label="observed: act")
axes[1].barh(
    place[missing], flat[missing], color="#d55e00", hatch="////", edgecolor="white", label="never asked: defer"
)
axes[1].plot(flat[~missing], place[~missing], "o", color="#0072b2", markersize=5)
axes[1].axvline(0.5, color="0.3", linewidth=1, linestyle="--")
axes[1].text(0.493, -0.62, "coin toss", ha="right", va="center", fontsize=9, color="0.3")
axes[1].set(yticks=place, yticklabels=names, xlim=(0, 0.56), ylim=(count.size - 0.4, -1.0))
axes[1].set_xlabel("chance that two draws disagree which item is better")
axes[1].set_title("The posterior knows what it does not know", loc="left", fontsize=11)
axes[1].legend(loc="center", bbox_to_anchor=(0.45, 0.5), frameon=False, fontsize=9)
for spine in ("top", "right"):
    axes[1].spines[spine].set_visible(False)
figure.savefig(Path(__file__).with_name("blind_spot.png"), dpi=110)
