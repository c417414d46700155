"""What all models need: their files, a device, and inputs that never run out."""
