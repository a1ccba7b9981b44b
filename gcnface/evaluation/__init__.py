"""Measuring methods against each other on any folder of photos: ``gcnface evaluate``."""
