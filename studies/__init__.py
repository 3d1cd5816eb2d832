"""Studies: every claim about the method, checked by one command.

A study is a thin script over the public functions, without mathematics of its own. It has

``SIZES``
    ``{"quick": {...}, "full": {...}}``: keyword arguments of ``cases``.
``cases(**size)``
    The pieces of the work: a list of dicts of plain values, each the arguments of one ``run_case``.
``run_case(*, seed, **case)``
    Records (a list of dicts of plain values) of one piece. Seeds differ by piece, unless the module says
    ``SHARED_SEED = True``: its pieces then share their worlds.
``summary(records)``
    The table: one row a claim or a setting. Beside a column ``x`` may stand ``x_se``, its Monte-Carlo standard error.
``figure(table)``
    The picture, from ``bayespref.report``.
``unavailable()``
    Studies of real data only: why the study cannot run here, empty where it can.

The docstring of its module says what the study shows, what it does not show, and where published sources err. The
values expected, with tolerance and source, stand in ``expectations/NAME.toml``. Run one with ``bayespref study NAME``.
"""

if __name__ != "bayespref.studies":
    raise ImportError("the studies are imported as bayespref.studies, never as a top-level package named studies")

STUDIES = (
    "blind-spot",
    "amplification",
    "adaptive-design",
    "correlation-flip",
    "correlation-sweep",
    "deferral-stream",
    "downstream-ood",
    "dr",
    "hh-confounding",
    "latent-recovery",
    "missing-cell",
    "next-comparisons",
    "overlap-predicts-failure",
    "proxy-quality",
    "real-gari-eba",
    "real-gles-parties",
    "real-llmfao",
    "real-mtbench",
    "real-sound-quality",
    "real-train-tickets",
    "real-ukp-arguments",
    "swap-rate",
    "telemetry",
    "two-worlds",
    "weight-frontier",
)
"""Names of the studies; ``blind-spot`` is the module ``bayespref.studies.blind_spot``."""

__all__ = ["STUDIES"]
