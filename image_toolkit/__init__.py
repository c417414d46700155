"""The tools that components share: images, crawling, retrieval, models and training data.

- `images`: decode untrusted bytes, and render training images from them
- `crawl`: fetch untrusted URLs, fast and politely
- `retrieval`: search, build and serve indexes of vectors
- `models`: load and run embedding and captioning models, on a CPU or a GPU
- `copies`: find duplicates and near-duplicates
- `edits`: apply people's corrections
- `training`: what trainers expect: buckets, token budgets, splits
- `diffusion`: text-to-image pipelines and LoRA files
- `evaluation`: compare sets of images
- `publishing`: write output folders atomically

The modules beside these packages are small helpers that several of them use. Of `fondant_spec`,
this package imports only `dataset` and some of the top-level modules.
"""
