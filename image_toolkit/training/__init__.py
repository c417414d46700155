"""What those who train a model ask of images and captions."""
