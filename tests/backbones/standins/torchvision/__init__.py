"""Takes torchvision's place: networks of the same children, with few channels."""
