"""Lightning modules and data for training."""
