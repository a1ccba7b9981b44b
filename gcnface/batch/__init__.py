"""Many photos: what is given, who works on it, what is told meanwhile."""
