"""From samples to a labelled DataTree: alignment, convergence verdict, saving."""
