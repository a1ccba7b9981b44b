"""Readers of face models from elsewhere; each fills a `coarse.face_model.FaceModel`."""
