"""Fisher information of comparisons: what one label is worth, in which direction, and where it is worth nothing.

Everything is **per label**: a matrix here is the mean over comparisons of ``g(w'dz) dz dz'``, with ``g = s(1 - s)`` the
variance of a logistic label and ``dz`` the feature difference of the pair. N labels carry N times that. Units: nats per
squared unit of the coefficients.

For Gaussian differences the closed form `gaussian_fisher` obeys ``a2 Sigma <= I <= a0 Sigma`` (positive semidefinite
order): along the coefficients information falls off like 1/s^3 in the scale s of the margins, across them like 1/s, so
strong preferences starve exactly the direction that decides them.

Source: Fisher information of the logistic choice model (Bradley and Terry 1952, *Biometrika* 39); Stein's identity for
the Gaussian form.
"""

from bayespref.information.checked import check_symmetric
from bayespref.information.gaussian import GaussianCurvature, gaussian_curvature, gaussian_fisher, sign_disagreement
from bayespref.information.labels import (
    LIPSCHITZ,
    BucketInformation,
    TypeInformation,
    curvature,
    fisher,
    fisher_by,
    fisher_by_type,
    mean_fisher,
    plugin_error_bound,
)
from bayespref.information.margins import (
    ALONG_MARGIN,
    SATURATED,
    QuadrantMass,
    Saturation,
    quadrant_mass,
    saturation,
)
from bayespref.information.overlap import Overlap, overlap, quotient, quotient_basis

__all__ = [
    "ALONG_MARGIN",
    "LIPSCHITZ",
    "SATURATED",
    "BucketInformation",
    "GaussianCurvature",
    "Overlap",
    "QuadrantMass",
    "Saturation",
    "TypeInformation",
    "check_symmetric",
    "curvature",
    "fisher",
    "fisher_by",
    "fisher_by_type",
    "gaussian_curvature",
    "gaussian_fisher",
    "mean_fisher",
    "overlap",
    "plugin_error_bound",
    "quadrant_mass",
    "quotient",
    "quotient_basis",
    "saturation",
    "sign_disagreement",
]
