"""LIMU-BERT."""
