"""A mesh handed to the package trimesh, which is optional."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from gcnface.errors import MissingPackageError
from gcnface.result.files.gltf import ROUGHNESS
from gcnface.result.mesh import TexturedMesh

if TYPE_CHECKING:
    import trimesh


def trimesh_of(mesh: TexturedMesh) -> trimesh.Trimesh:
    """See `TexturedMesh.to_trimesh`."""
    try:
        import trimesh
        from trimesh.visual import TextureVisuals
        from trimesh.visual.material import PBRMaterial
    except ImportError as error:
        raise MissingPackageError("to_trimesh needs the package trimesh; pip install trimesh") from error
    split = mesh.split
    texture = Image.fromarray(mesh.texture_8bit)
    material = PBRMaterial("face", baseColorTexture=texture, metallicFactor=0.0, roughnessFactor=ROUGHNESS)
    bare = trimesh.Trimesh(
        mesh.vertices[split.vertex],
        split.faces.astype("int64"),
        vertex_normals=mesh.normals[split.vertex],
        visual=TextureVisuals(uv=mesh.uv[split.uv], material=material),
        process=False,
    )
    bare.units = "mm"
    return bare
