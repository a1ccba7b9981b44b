"""A reconstructed face: the record, its mesh, its editing, its drawing."""
