"""Prepared data sets, as preparation writes them and training reads them."""
