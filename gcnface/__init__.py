"""From one photograph to a textured 3D face mesh."""
