"""Pairs of a draft and a target against the target alone: run, costs, figures, tables, page."""
