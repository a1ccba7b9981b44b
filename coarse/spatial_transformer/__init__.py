"""The morphable model as a spatial transformer.

Bas, Huber, Smith, Awais and Kittler, "3D Morphable Models as Spatial Transformer Networks", ICCV workshops 2017: a
localiser reads pose and shape theta off a crop, a grid generator poses the model resampled over its texture space, a
sampler fetches the photo's colours. What comes out is the photo itself, flattened: every texel the same point of every
face. It learns from photographs and 2D landmarks, without labels of shape.
"""
