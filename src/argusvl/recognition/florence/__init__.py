"""Florence-2: captions, objects, regions, and what is looked for."""
