"""Models: loaded safely, kept supplied with inputs, and run as fast as the machine allows.

- `runtime`: what all models need: `hub` finds the files, `loading` builds the model, `device`
  chooses device and precision, `preparation` turns image bytes into inputs, `feed` prepares them
  ahead of the device, `batching` fits batches to the memory
- `embedding`: images and texts to vectors (`embedders`)
- `captioning`: images to captions (`local_captioner`)
- `cpu`, `gpu`: faster layers. They rely on private parts of torch and transformers:
  `runtime.shortcuts` applies them, and only with versions that `runtime.checked_versions` lists.
"""

from fondant_spec.cpu import wait_patiently

wait_patiently()  # read by torch when it is loaded
