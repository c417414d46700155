"""What trainers need of images and captions: buckets, token budgets, repeats and splits."""
