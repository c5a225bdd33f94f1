"""The answers of the built-in analyses as types: what docs/json.md promises.

Whoever reads an answer (page, comparison, findings, another analysis) takes its type from here, so
that renaming a field names every reader. An analysis that nobody else reads keeps its type in its
own file.
"""
