"""From a crop to a refined face, stage by stage; `gcnface.pipeline` puts them in order."""
