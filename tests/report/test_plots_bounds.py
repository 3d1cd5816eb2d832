"""Figures of bounds show what they were given: ends of bands, refuted stretches, worlds that differ in places."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from bayespref.report.plots_bounds import nested_bands, posterior_beside_set, witness_worlds
from bayespref.report.plots_style import to_svg


def swept(**changes):
    x = np.array([0.0, 0.5, 1.0, 2.0])
    low = np.array([np.nan, 0.4, 0.1, -0.5])
    data = {
        "difference_lower": low,
        "difference_upper": np.array([np.nan, 0.5, 0.8, 1.0]),
        "region_lower": low - 0.1,
        "region_upper": np.array([np.nan, 0.6, 0.9, 1.1]),
        "value": np.array([np.nan, 0.0, 0.0, 0.3]),
    }
    data = {name: ("parameter", values) for name, values in (data | changes).items()}
    attrs = {"assumption": "level_type_effect", "parameter": "kappa"}
    return xr.Dataset(data, coords={"parameter": x}, attrs=attrs)


def texts(figure):
    found = [axes.get_title(loc="left") for axes in figure.axes]
    found += [text.get_text() for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label)]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return found + [label.get_text() for axes in figure.axes for label in axes.get_yticklabels()]


def test_bands_pass_through_the_bounds_and_refuted_parameters_are_hatched():
    figure = nested_bands(swept(), title="bands", truth=0.45)
    top, bottom = figure.axes
    lines = {tuple(line.get_ydata()[1:]) for line in top.lines if len(line.get_xdata()) == 4}
    assert lines == {(0.4, 0.1, -0.5), (0.5, 0.8, 1.0)}
    assert bottom.lines[0].get_ydata()[-1] == 0.3
    hatched = [patch for patch in top.patches if patch.get_hatch() and np.isfinite(patch.get_x())]
    assert [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in hatched] == [(0.0, 0.5)]
    assert {"bounds", "credible region of the bounds", "truth", "refuted by the data"} <= set(texts(figure))
    assert "kappa of level type effect (stronger to the left)" in texts(figure)
    assert len([one for one in top.collections if isinstance(one, PolyCollection)]) == 2


def test_one_draw_needs_no_second_band_and_a_sweep_without_refutation_no_hatch():
    plain = swept(region_lower=swept()["difference_lower"].values, region_upper=swept()["difference_upper"].values)
    figure = nested_bands(plain.isel(parameter=slice(1, None)), title="t")
    assert not {"credible region of the bounds", "refuted by the data", "truth"} & set(texts(figure))


def test_a_sweep_with_a_dim_left_or_a_variable_missing_is_an_error():
    with pytest.raises(ValueError, match=r"has dims \['type'\]"):
        nested_bands(swept().expand_dims(type=2), title="t")
    with pytest.raises(ValueError, match=r"lacks \['value'\]"):
        nested_bands(swept().drop_vars("value"), title="t")


def test_the_set_stands_beside_the_posterior_at_its_ends():
    draws = np.random.default_rng(0).normal(size=300)
    figure = posterior_beside_set(
        draws, (-3.0, 4.0), region=(-3.5, 4.5), interval=(-1.6, 1.6), truth=2.0, title="beside"
    )
    names = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    bars = dict(zip(names, figure.axes[1].patches, strict=True))
    ends = {name: (bar.get_x(), bar.get_x() + bar.get_width()) for name, bar in bars.items()}
    assert ends == {
        "its credible region": (-3.5, 4.5),
        "bounds": (-3.0, 4.0),
        "interval of draws": pytest.approx((-1.6, 1.6)),
    }
    low, high = figure.axes[1].get_xlim()
    assert low < -3.5
    assert high > 4.5
    assert "truth" not in texts(posterior_beside_set(draws, (-3.0, 4.0), title="t"))


def test_worlds_stand_side_by_side_and_only_what_moves_differs():
    low = np.array([[0.0, 0.5, 0.0], [0.1, 0.3, 0.7]])
    high = np.array([[0.0, 0.5, 1.0], [0.1, 0.3, 0.7]])
    component = np.array([[0, 0, 2], [0, 0, 0]])
    figure = witness_worlds(
        (low, high),
        component,
        items=("x", "y", "z"),
        types=("k", "l"),
        names=("good", "bad"),
        played=1,
        title="worlds",
    )
    panels = np.array(figure.axes).reshape(2, 2)
    shown = [[sorted((y, x) for line in axes.lines for x, y in line.get_xydata()) for axes in row] for row in panels]
    assert shown[0][0] != shown[0][1]
    assert shown[1][0] == shown[1][1]
    assert [len(axes.lines) for axes in panels.ravel()] == [2, 2, 1, 1]
    assert {"good", "bad", "k", "l", "y (played)"} <= set(texts(figure))
    with pytest.raises(ValueError, match="shape"):
        witness_worlds((low, high[:1]), component, items=("x", "y", "z"), types=("k", "l"), names=("a", "b"), title="t")
    with pytest.raises(ValueError, match="name"):
        witness_worlds((low, high), component, items=("x", "y", "z"), types=("k", "l"), names=("a",), title="t")


def test_equal_inputs_give_equal_bytes_and_labels_are_text():
    first, second = (
        witness_worlds(
            [np.zeros((1, 2))], np.array([[0, 1]]), items=("$x_1$", "<b>"), types=("k",), names=("w",), title="t"
        )
        for _ in range(2)
    )
    assert isinstance(first, Figure)
    assert to_svg(first) == to_svg(second)
    assert b"$x_1$" in to_svg(first)
