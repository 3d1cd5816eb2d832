"""Other shapes of table: adapters by column, conversions that change rows, and exports."""

from bayespref.data.adapters.columns import ADAPTERS, choose, fitting
from bayespref.data.adapters.shape import Adapter

__all__ = ["ADAPTERS", "Adapter", "choose", "fitting"]
