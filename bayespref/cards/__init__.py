"""What leaves with the data: dataset card, model card, Croissant file, and the archive of an audit bundle.

These modules put given tables into words and files; ``bayespref.workflow`` gathers what they say.
"""
