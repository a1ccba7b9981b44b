"""``gcnface prepare``: from photographs to a data set that trainings read."""
