"""The Faster R-CNN engine: the only room of the package that imports torch."""
