from bayespref import bounds as bounds
from bayespref import defer as defer
from bayespref import design as design
from bayespref import disagree as disagree
from bayespref import graph as graph
from bayespref import models as models
from bayespref import posterior as posterior
from bayespref import report as report
from bayespref import simulate as simulate
from bayespref.comparisons import Comparisons as Comparisons
from bayespref.data.bundle import load_train_tickets as load_train_tickets
from bayespref.data.table import read_comparisons as read_comparisons
from bayespref.defer.policy import DeferralPolicy as DeferralPolicy
from bayespref.errors import explain as explain
from bayespref.fit.maximum_likelihood import maximum_likelihood as maximum_likelihood
from bayespref.graph.check import check as check
from bayespref.graph.connect import suggest_comparisons as suggest_comparisons
from bayespref.posterior.store import load_fit as load_fit
from bayespref.posterior.store import save_fit as save_fit
from bayespref.workflow import analyse as analyse
from bayespref.workflow import audit as audit
from bayespref.workflow import fit as fit
from bayespref.workflow import next_comparisons as next_comparisons
from bayespref.workflow import policy as policy
from bayespref.workflow import run as run

__version__: str
