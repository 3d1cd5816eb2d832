"""Reading and validating tables of comparisons."""
