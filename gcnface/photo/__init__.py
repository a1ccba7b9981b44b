"""From a photo to a crop: what may be given as one, finding faces, cutting them out, naming their parts."""
