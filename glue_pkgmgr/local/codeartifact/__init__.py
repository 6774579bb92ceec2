"""The CodeArtifact API, over the stand-in's packages."""
