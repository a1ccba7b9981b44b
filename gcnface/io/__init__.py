"""Reading photographs, writing meshes and pictures."""
