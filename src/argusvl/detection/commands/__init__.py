"""Detection on the command line: what its entry in the table of tasks names.

The signature of each function is its options, and its docstring its ``--help``: what does the work is imported inside.
"""
