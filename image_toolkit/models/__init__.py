"""Models: loading them safely, feeding them well, and running them as fast as the machine allows.

`hub` finds a model's files, `loading` makes the model of them, `device` chooses where and how
precisely it runs, `preparation` makes its inputs from image bytes, `feed` prepares ahead of the
device, `batching` fits batches to the memory. `embedders` and `captioners` are the models
themselves. `cpu` leans on private parts of torch and transformers: `shortcuts` is the way in, which
`checked_versions` opens.
"""

from fondant_spec.cpu import wait_patiently

wait_patiently()  # before torch is loaded, which then keeps to it
