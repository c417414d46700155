"""What all models need: their files, a device, and a steady supply of prepared inputs."""
